# For `source`: Debian's compiler with the sources of its standard library, where rustup gives none for a target.
# Both are unpacked into a folder and installed nowhere.

# debian_rust FOLDER    From here on cargo compiles with it, and may be given -Z build-std.
debian_rust() {
    local root=$1
    [ -e "$root/complete" ] || unpack_from_debian "$root" || return 1

    # The compiler's own libraries lie where the system's loader does not look.
    local rustc=$root/usr/bin/rustc libraries version
    libraries=$(dirname "$(compgen -G "$root/usr/lib/*/librustc_driver-*.so")")
    version=$(LD_LIBRARY_PATH=$libraries "$rustc" --version | cut -d ' ' -f 2) || return 1
    is_new_enough "$version" || return 1

    # Cargo compiles a standard library only on a nightly toolchain, or if told that this is one.
    export LD_LIBRARY_PATH=$libraries RUSTC=$rustc RUSTC_BOOTSTRAP=1
}

is_new_enough() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    printf '%s\n' "$oldest" "$1" | sort --version-sort --check=silent
}

# Leaves apt's lists and the system's packages as they are, and needs no rights.
unpack_from_debian() {
    local root=$1 apt=$1.apt package
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
