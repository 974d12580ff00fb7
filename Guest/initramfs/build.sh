#!/usr/bin/env bash
# Packs the guest agent as /init of an uncompressed initramfs (newc). The host appends a second archive with the boot
# parameters when it starts a box.
#
# usage: Guest/initramfs/build.sh AGENT_BINARY
# Prints the path of the archive. The link <cache>/current/initramfs.cpio points at it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../scripts/lib.sh"
help_if_asked "$@"
[[ $# == 1 && -f $1 ]] || die "usage: Guest/initramfs/build.sh AGENT_BINARY" 2
agent=$1
key=$(cat "$agent" "$0" | key_of recipe-1)

build_initramfs() { # DIRECTORY
    need cpio cpio
    local tree=$1/tree
    mkdir -p "$tree"/{dev,proc,sys,voidbox}
    chmod 0700 "$tree/voidbox"
    install -m 0755 "$agent" "$tree/init"
    find "$tree" -exec touch -h -d @0 {} +
    (cd "$tree" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
        cpio --null --create --format=newc --reproducible --owner=0:0 --quiet) > "$1/initramfs.cpio"
    rm -rf "$tree"
    say "initramfs: $(stat -c %s "$1/initramfs.cpio") bytes"
}

build_once initramfs "$key" build_initramfs
publish "$CACHE/initramfs/$key/initramfs.cpio" initramfs.cpio
echo "$CACHE/initramfs/$key/initramfs.cpio"
