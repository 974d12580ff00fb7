#!/usr/bin/env bash
# Packs claudio, the deterministic stand-in for Claude Code, as an agent disk.
#
# usage: Guest/images/claudio/build.sh CLAUDIO_BINARY
# Prints the path of the image. The link <cache>/current/claudio.ext4 points at it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../../scripts/lib.sh"
help_if_asked "$@"
[[ $# == 1 && -f $1 ]] || die "usage: Guest/images/claudio/build.sh CLAUDIO_BINARY" 2
binary=$1
key=$(cat "$binary" "$0" "$ROOT/scripts/lib.sh" | key_of recipe-1)

build_claudio() { # DIRECTORY
    make_agent_disk "$binary" claudio "$1/disk.ext4" claudio claude claude-code
}

build_once images/claudio "$key" build_claudio
publish "$CACHE/images/claudio/$key/disk.ext4" claudio.ext4
echo "$CACHE/images/claudio/$key/disk.ext4"
