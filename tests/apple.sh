#!/usr/bin/env bash
# Checks that library and program compile for macOS, without a warning, on a system that cannot link for it.
#
#   tests/apple.sh [WAY...]    the first of these ways that can be gone, or of those that are named:
#     rustup    this toolchain's standard library for macOS, as rustup downloads it
#     debian    the library's sources from Debian, and the compiler of the same version, because no other
#               compiles them; both are unpacked into target/apple and installed nowhere
#
# Exits with 0 and says SKIPPED where no way can be gone.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-apple-darwin
folder=$PWD/target/apple
cargo=(cargo check --locked --target "$target")

from_rustup() {
    has_std || { rustup target add "$target" >/dev/null 2>&1 && has_std; }
}

has_std() {
    compgen -G "$(rustc --print target-libdir --target "$target")/libstd-*.rlib" >/dev/null
}

from_debian() {
    local root=$folder/debian
    [ -e "$root/complete" ] || unpack_from_debian "$root" || return 1

    # The compiler's own libraries lie where the system's loader does not look.
    local rustc=$root/usr/bin/rustc libraries version
    libraries=$(dirname "$(compgen -G "$root/usr/lib/*/librustc_driver-*.so")")
    version=$(LD_LIBRARY_PATH=$libraries "$rustc" --version | cut -d ' ' -f 2) || return 1
    is_new_enough "$version" || return 1

    # Cargo compiles a standard library only on a nightly toolchain, or if told that this is one.
    export LD_LIBRARY_PATH=$libraries RUSTC=$rustc RUSTC_BOOTSTRAP=1
    cargo+=(-Z build-std=std)
}

is_new_enough() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    printf '%s\n' "$oldest" "$1" | sort --version-sort --check=silent
}

# Leaves apt's lists and the system's packages as they are, and needs no rights.
unpack_from_debian() {
    local root=$1 apt=$folder/apt package
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    rm -rf "$root" "$apt"
    mkdir -p "$root" "$apt/lists/partial" "$apt/archives/partial"
    local options=(-qq -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt" -o Debug::NoLocking=1)
    # A source of packages that cannot be reached need not be the one that matters.
    apt-get "${options[@]}" update >/dev/null 2>&1 || true
    apt-get "${options[@]}" install --yes --download-only --no-install-recommends \
        rustc-web rust-web-src >/dev/null 2>&1 || return 1
    for package in "$apt"/archives/*.deb; do
        case ${package##*/} in
        # The compiler's sources are in it too, and five times as large.
        rust-web-src_*) set -- --wildcards './usr/src/*/library' ./usr/lib/rustlib/src ;;
        *) set -- ;;
        esac
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" "$@" || return 1
    done
    rm -rf "$apt"
    touch "$root/complete"
}

[ $# -gt 0 ] || set -- rustup debian
for way; do
    declare -F "from_$way" >/dev/null || { echo "there is no way '$way'" >&2; exit 2; }
    if "from_$way"; then
        printf 'for %s, with the standard library from %s\n' "$target" "$way"
        export RUSTFLAGS='-D warnings' CARGO_TARGET_DIR=$folder/build
        "${cargo[@]}" --lib --bins
        "${cargo[@]}" --lib --no-default-features
        exit
    fi
done
echo "SKIPPED: no standard library for $target is to be had (tried: $*)"
