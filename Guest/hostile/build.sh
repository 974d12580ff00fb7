#!/usr/bin/env bash
# Builds the hostile guest: a program without an operating system that breaks the rules of every device it finds. The tests
# of the machine monitor boot it like a kernel. Cached by the hash of sources and compiler.
#
# usage: Guest/hostile/build.sh
# Prints the path of the ELF file. The link <cache>/current/hostile points at it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../scripts/lib.sh"
help_if_asked "$@"

here=$ROOT/Guest/hostile
need gcc gcc
key=$(cat "$here"/*.{c,h,S,ld,sh} | key_of "$(gcc --version | head -1)")

build_hostile() { # DIRECTORY
    # No floating point: nobody saves its registers, and nobody turned it on.
    gcc -std=gnu17 -O2 -g0 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pic -fno-stack-protector -fcf-protection=none \
        -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only -static -nostdlib -no-pie -Wl,--build-id=none \
        -Wl,--no-warn-rwx-segments -T "$here/link.ld" -o "$1/hostile" "$here"/start.S "$here"/*.c
    strip --strip-all "$1/hostile"
    say "hostile: $(stat -c %s "$1/hostile") bytes"
}

build_once hostile "$key" build_hostile
publish "$CACHE/hostile/$key/hostile" hostile
echo "$CACHE/hostile/$key/hostile"
