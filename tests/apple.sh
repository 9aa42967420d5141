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
source tests/debian-rust.sh

target=aarch64-apple-darwin
folder=$PWD/target/apple
cargo=(cargo check --locked --target "$target")

from_rustup() {
    has_std || { timeout 60 rustup target add "$target" >/dev/null 2>&1 && has_std; }
}

has_std() {
    compgen -G "$(rustc --print target-libdir --target "$target")/libstd-*.rlib" >/dev/null
}

from_debian() {
    debian_rust "$folder/debian" && cargo+=(-Z build-std=std)
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
