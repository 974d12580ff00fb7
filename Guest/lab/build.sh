#!/usr/bin/env bash
# Builds the lab machine that scripts/kvm-lab boots: Debian's cloud kernel 6.12 with KVM for AMD, a tiny initramfs that
# finds the disk, and a Debian 12 root with QEMU to compare with. Cached by the hash of kernel version and recipe.
#
# usage: Guest/lab/build.sh
# Prints the directory with vmlinuz, initramfs.cpio and root.ext4. The link <cache>/current/lab points at it. Needs root.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../scripts/lib.sh"
help_if_asked "$@"

here=$ROOT/Guest/lab
# What Swift executables need beside the Swift runtime is libstdc++6, libgcc-s1, zlib1g and tzdata.
packages=ca-certificates,cpio,e2fsprogs,git,iproute2,kmod,libgcc-s1,libstdc++6,procps,python3,qemu-system-x86,strace,tzdata,util-linux,zlib1g
# The kernel of the same source as the guest kernel, so that one package update moves both.
version=$(dpkg-query -W -f '${Version}' linux-source-6.12 2> /dev/null) ||
    die "the Debian package linux-source-6.12 is missing; run: apt-get install linux-source-6.12 (or: make setup)" 3
kernel=linux-image-${version%%-*}+deb12-cloud-amd64
key=$(cat "$0" "$here/init" | key_of "$version")

# Unpacks the kernel package into a directory.
fetch_kernel() { # DIRECTORY
    need apt-get apt
    say "lab: downloading $kernel"
    (
        cd "$1"
        apt-get download -qq "$kernel=$version" 2> /dev/null || { apt-get update -qq && apt-get download -qq "$kernel=$version"; }
    ) >&2 || die "apt cannot download $kernel=$version; run: apt-get update, then apt-get install linux-source-6.12 for the newest"
    dpkg -x "$1/$kernel"_*.deb "$1"
}

build_initramfs() { # KERNEL_TREE ARCHIVE
    local tree
    tree=$(mktemp -d "$2.XXXXXX")
    mkdir -p "$tree"/{bin,dev,newroot,proc}
    install -m 0755 /bin/busybox "$tree/bin/busybox"
    install -m 0755 "$here/init" "$tree/init"
    xz -dc "$1"/lib/modules/*/kernel/drivers/block/virtio_blk.ko.xz > "$tree/virtio_blk.ko"
    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$tree" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
        cpio --null --create --format=newc --reproducible --owner=0:0 --quiet) > "$2"
    rm -rf "$tree"
}

build_root() { # KERNEL_TREE IMAGE
    local tree=$1/root
    say "lab: installing Debian 12 with $packages"
    # The hooks run inside mmdebstrap's shell: $1 is the new root.
    # shellcheck disable=SC2016
    mmdebstrap --quiet --variant=minbase --include="$packages" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook='echo lab > "$1/etc/hostname"' \
        --customize-hook='printf "127.0.0.1 localhost lab\n::1 localhost\n" > "$1/etc/hosts"' \
        --customize-hook='git config --file "$1/etc/gitconfig" safe.directory "*"' \
        --customize-hook='mkdir "$1/lab"' \
        --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*' \
        bookworm "$tree" >&2
    cp -a "$1/lib/modules" "$tree/usr/lib/"
    # What every run loads should not have to be decompressed by an emulated processor.
    xz -d "$tree"/usr/lib/modules/*/kernel/{arch/x86/kvm/*,virt/lib/irqbypass}.ko.xz
    chroot "$tree" depmod "$(basename "$1"/lib/modules/*)"
    # Sparse, with room for what a command writes during its run.
    mke2fs -q -t ext4 -O '^has_journal' -m 0 -E lazy_itable_init=1 -d "$tree" "$2" 4G >&2
}

build_lab() { # DIRECTORY
    need cpio cpio
    need xz xz-utils
    need busybox busybox-static
    need mke2fs e2fsprogs
    need mmdebstrap mmdebstrap
    [[ $(id -u) == 0 ]] || die "building the lab needs root (file owners)" 3
    local work=$1/work
    mkdir "$work"
    fetch_kernel "$work"
    cp "$work"/boot/vmlinuz-* "$1/vmlinuz"
    build_initramfs "$work" "$1/initramfs.cpio"
    build_root "$work" "$1/root.ext4"
    rm -rf "$work"
    say "lab: built in $SECONDS s, root of $(du -h "$1/root.ext4" | cut -f1)"
}

build_once lab "$key" build_lab
publish "$CACHE/lab/$key" lab
echo "$CACHE/lab/$key"
