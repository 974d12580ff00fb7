#!/usr/bin/env bash
# Builds the default root file system: a small Debian 12 with the tools that agents reach for, as a read-only ext4 image.
# The versions that went in are in packages.txt beside the image.
#
# usage: Guest/images/base/build.sh
# Prints the path of the image. The link <cache>/current/base.ext4 points at it. Needs root.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../../scripts/lib.sh"
help_if_asked "$@"

packages=bash,ca-certificates,coreutils,curl,git,iproute2,jq,less,procps,python3,ripgrep
key=$(cat "$0" "$ROOT/scripts/lib.sh" | key_of recipe-1)

build_base() { # DIRECTORY
    need mmdebstrap mmdebstrap
    [[ $(id -u) == 0 ]] || die "building the base image needs root (file owners)" 3
    local tree=$1/tree
    say "base image: installing Debian 12 with $packages"
    # The hooks run inside mmdebstrap's shell: $1 is the new root.
    # shellcheck disable=SC2016
    mmdebstrap --quiet --variant=minbase --include="$packages" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook='chroot "$1" useradd --create-home --uid 1000 --user-group --shell /bin/bash sandbox' \
        --customize-hook='install -d -o 1000 -g 1000 "$1/workspace"' \
        --customize-hook='echo voidbox > "$1/etc/hostname"' \
        --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/var/cache/ldconfig' \
        bookworm "$tree" >&2
    # shellcheck disable=SC2016
    chroot "$tree" dpkg-query -W -f '${Package} ${Version}\n' > "$1/packages.txt"
    make_ext4 "$tree" "$1/root.ext4"
    rm -rf "$tree"
    say "base image: $(stat -c %s "$1/root.ext4") bytes, $(wc -l < "$1/packages.txt") packages"
}

build_once images/base "$key" build_base
publish "$CACHE/images/base/$key/root.ext4" base.ext4
echo "$CACHE/images/base/$key/root.ext4"
