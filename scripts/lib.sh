# shellcheck shell=bash
# Shared by the scripts of this project; sourced, not run.
#
# Build scripts publish below the cache directory: a result goes to <cache>/<kind>/<key>/, where the key is a hash of
# everything that goes into it, and <cache>/current/<name> is a symbolic link to the newest. The host programs read
# the links.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${VOIDBOX_CACHE_DIR:-$HOME/.cache/voidbox}
# Read by the scripts that source this file.
export ROOT CACHE

# Files and times in images do not depend on when they were built: 2025-01-01.
export SOURCE_DATE_EPOCH=1735689600

say() { printf '%s\n' "$*" >&2; }

die() { # MESSAGE [EXIT_STATUS]
    say "${0##*/}: $1"
    exit "${2:-1}"
}

# Prints the comment at the top of the calling script, then exits, if the first argument asks for help.
help_if_asked() {
    case ${1:-} in
        -h | --help)
            sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
    esac
}

need() { # COMMAND DEBIAN_PACKAGE
    command -v "$1" > /dev/null || die "$1 is missing; run: apt-get install $2 (or: make setup)" 3
}

# Whether this machine's own /dev/kvm is complete. One without these flags behind it emulates.
has_virtualization() {
    grep -qwE 'vmx|svm' /proc/cpuinfo && [[ -r /dev/kvm && -w /dev/kvm ]]
}

# The failures that a run of the tests' program wrote to a file of events, a short paragraph each, so that a long run's last
# lines name them.
tell_failures() { # FILE
    python3 -c '
import json, sys

for line in open(sys.argv[1]):
    try:
        event = json.loads(line)["payload"]
    except ValueError:
        continue  # The last line of a program that was killed.
    if event.get("kind") == "issueRecorded" and not event["issue"]["isKnown"]:
        print("failed:", event.get("testID", "no test"))
        for message in event["messages"][:3]:
            print("    " + message["text"].partition("\n")[0][:300])
' "$1" >&2
}

# The first 16 digits of a hash over all arguments (text) and standard input.
key_of() {
    { printf '%s\n' "$@"; cat; } | sha256sum | cut -c1-16
}

# Makes <cache>/<kind>/<key> with the function BUILD, which gets an empty directory, unless it is there already.
# One builder at a time for each kind; a failed build leaves nothing.
build_once() { # KIND KEY BUILD_FUNCTION
    local kind=$1 key=$2 build=$3
    local final=$CACHE/$kind/$key
    [[ -d $final ]] && return
    mkdir -p "$CACHE/$kind"
    exec 9> "$CACHE/$kind/.lock"
    flock -n 9 || { say "waiting for another build of $kind"; flock 9; }
    if [[ ! -d $final ]]; then
        BUILDING=$(mktemp -d "$CACHE/$kind/.building.XXXXXX")
        trap 'rm -rf "$BUILDING"' EXIT
        "$build" "$BUILDING"
        chmod 0755 "$BUILDING"
        mv "$BUILDING" "$final"
        trap - EXIT
    fi
    exec 9>&-
}

# Points <cache>/current/NAME at a file, atomically.
publish() { # FILE NAME
    mkdir -p "$CACHE/current"
    local temporary=$CACHE/current/.$2.$$
    ln -s "$1" "$temporary"
    mv -T "$temporary" "$CACHE/current/$2"
}

# Makes an ext4 image for read-only use from a directory tree: no journal, fixed identifiers, little free space.
make_ext4() { # TREE IMAGE
    need mke2fs e2fsprogs
    local inodes blocks
    inodes=$(find "$1" | wc -l)
    blocks=$(du --apparent-size -s --block-size=4096 "$1" | cut -f1)
    # Beside the data: inode tables (256 bytes each), the part-filled last block of each file, and one percent.
    blocks=$((blocks + inodes / 16 + inodes / 2 + blocks / 100 + 1024))
    mke2fs -q -t ext4 -O '^has_journal,^resize_inode,^metadata_csum' -m 0 -b 4096 -N $((inodes + 64)) \
        -U 76f1d5c0-0000-4000-8000-000000000001 -E hash_seed=76f1d5c0-0000-4000-8000-000000000002,lazy_itable_init=0 \
        -d "$1" "$2" "$blocks" >&2
}

# The disk of an agent: its program as /bin/NAME with other names for it, and /VERSION.
make_agent_disk() { # PROGRAM VERSION IMAGE NAME [ALIAS...]
    local program=$1 version=$2 image=$3 name=$4 tree
    shift 4
    tree=$(mktemp -d)
    install -D -m 0755 "$program" "$tree/bin/$name"
    local alias
    for alias in "$@"; do ln -s "$name" "$tree/bin/$alias"; done
    printf '%s\n' "$version" > "$tree/VERSION"
    chown -R 0:0 "$tree"
    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    make_ext4 "$tree" "$image"
    rm -rf "$tree"
}
