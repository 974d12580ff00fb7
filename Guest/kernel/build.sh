#!/usr/bin/env bash
# Builds the guest kernel, an uncompressed vmlinux, from Debian's linux-source-6.12, the patches and the fragment beside
# this script. Cached by the hash of source version, patches, fragment and recipe: a second run only prints the path.
#
# usage: Guest/kernel/build.sh
# Prints the path of vmlinux. The link <cache>/current/vmlinux points at it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../scripts/lib.sh"
help_if_asked "$@"

here=$ROOT/Guest/kernel
package=linux-source-6.12
version=$(dpkg-query -W -f '${Version}' "$package" 2> /dev/null) ||
    die "the Debian package $package is missing; run: apt-get install $package (or: make setup)" 3
key=$(cat "$here/config" "$here"/patches/*.patch "$0" | key_of "$version")

# One line that grows with the build on a terminal, a line every ten seconds elsewhere.
show_progress() {
    local count=0 last=0 line
    while IFS= read -r line; do
        case $line in "  CC "* | "  AS "* | "  AR "*) count=$((count + 1)) ;; *) continue ;; esac
        if [[ -t 2 ]]; then
            printf '\rkernel: %d objects' "$count" >&2
        elif ((SECONDS - last >= 10)); then
            last=$SECONDS
            say "kernel: $count objects, $SECONDS s"
        fi
    done
    if [[ -t 2 ]]; then printf '\n' >&2; fi
}

build_kernel() { # DIRECTORY
    need flex flex
    need bison bison
    need bc bc
    need make make
    need patch patch
    local source=$1/source log=$CACHE/kernels/build.log
    say "kernel: unpacking Debian's $package $version"
    mkdir "$source"
    tar -xf "/usr/src/$package.tar.xz" -C "$source" --strip-components=1
    local change
    for change in "$here"/patches/*.patch; do
        # Not somewhere near: where the source has moved on, somebody has to look.
        patch --quiet --strip=1 --fuzz=0 --directory="$source" < "$change" >&2 ||
            die "the kernel's source has changed where ${change##*/} changes it"
    done
    say "kernel: building (a few minutes)"
    if ! {
        make -C "$source" KCONFIG_ALLCONFIG="$here/config" allnoconfig
        # The hash of the result must not depend on who built it, where, or when.
        make -C "$source" -j"$(nproc)" vmlinux KBUILD_BUILD_USER=voidbox KBUILD_BUILD_HOST=voidbox \
            KBUILD_BUILD_TIMESTAMP='2025-01-01 00:00:00' KBUILD_BUILD_VERSION=1
    } 2>&1 | tee "$log" | show_progress; then
        tail -n 20 "$log" >&2
        die "the kernel did not build; the whole log is $log"
    fi
    strip --strip-all -o "$1/vmlinux" "$source/vmlinux"
    cp "$source/.config" "$1/config"
    printf '%s\n' "$version" > "$1/source-version"
    rm -rf "$source" "$log"
    say "kernel: $(stat -c %s "$1/vmlinux") bytes after $SECONDS s"
}

build_once kernels "$key" build_kernel
publish "$CACHE/kernels/$key/vmlinux" vmlinux
echo "$CACHE/kernels/$key/vmlinux"
