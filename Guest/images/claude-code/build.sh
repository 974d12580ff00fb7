#!/usr/bin/env bash
# Packs Claude Code as an agent disk. The program is the one inside PyPI's claude-agent-sdk wheel, pinned by version and
# SHA-256 in the file "pin" beside this script.
#
# usage: Guest/images/claude-code/build.sh
# Prints the path of the image. The link <cache>/current/claude-code.ext4 points at it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../../../scripts/lib.sh"
help_if_asked "$@"

here=$ROOT/Guest/images/claude-code
# shellcheck source=Guest/images/claude-code/pin
source "$here/pin"
key=$(cat "$here/pin" "$0" "$ROOT/scripts/lib.sh" | key_of recipe-1)

build_claude_code() { # DIRECTORY
    need python3 python3
    local wheel=$CACHE/downloads/$PINNED_WHEEL
    mkdir -p "$CACHE/downloads"
    if ! sha256sum --check --status <<< "$WHEEL_SHA256  $wheel" 2> /dev/null; then
        say "claude-code: downloading $PINNED_WHEEL (160 MB)"
        local download=$1/download
        python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --platform "$WHEEL_PLATFORM" \
            --dest "$download" "claude-agent-sdk==$WHEEL_VERSION" >&2 ||
            die "cannot download claude-agent-sdk $WHEEL_VERSION from PyPI"
        sha256sum --check --status <<< "$WHEEL_SHA256  $download/$PINNED_WHEEL" ||
            die "the wheel $PINNED_WHEEL does not have the pinned SHA-256; it is not used"
        mv "$download/$PINNED_WHEEL" "$wheel"
        rm -rf "$download"
    fi
    python3 -m zipfile -e "$wheel" "$1/wheel"
    make_agent_disk "$1/wheel/claude_agent_sdk/_bundled/claude" "$CLAUDE_CODE_VERSION" "$1/disk.ext4" claude claude-code
    rm -rf "$1/wheel"
    say "claude-code: $(stat -c %s "$1/disk.ext4") bytes, Claude Code $CLAUDE_CODE_VERSION"
}

build_once images/claude-code "$key" build_claude_code
publish "$CACHE/images/claude-code/$key/disk.ext4" claude-code.ext4
echo "$CACHE/images/claude-code/$key/disk.ext4"
