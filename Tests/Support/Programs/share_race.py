"""A race for the outside: one process swaps a directory of a share with symbolic links that lead out of it, others go through
the name. Runs in a box, as root.

usage: share_race.py TRIES OUTSIDE MOUNT MOUNT

Both mounts show the same directory of the host, OUTSIDE is the path on the host that must not be reached. Prints a line
"inside N refused N" if every file that was read is the box's own, else what was read.
"""
import ctypes
import os
import signal
import sys

RACERS = 6
libc = ctypes.CDLL(None, use_errno=True)
tries, outside, mounts = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
top = mounts[0]

os.mkdir(f"{top}/swap")
for name in ("secret", "hostname", "victim"):
    with open(f"{top}/swap/{name}", "w") as file:
        file.write("inside")
targets = [outside, "/etc", "../outside", "..", "/proc/self/root/etc", "."]
for number, target in enumerate(targets):
    os.symlink(target, f"{top}/link{number}")
# What the box may see behind a link is its own.
own = {"inside", open("/etc/hostname").read()}


def swap_for_ever():
    while True:
        for number in range(len(targets)):
            for _ in range(2):
                libc.renameat2(-100, f"{top}/swap".encode(), -100, f"{top}/link{number}".encode(), 2)


swapper = os.fork()
if swapper == 0:
    swap_for_ever()

def race(racer):
    """A part of the tries; what came of them, as text."""
    inside = refused = 0
    for turn in range(racer, tries, RACERS):
        turn //= RACERS
        # Through the other mount the kernel may still take a link for the directory that it was.
        place = f"{mounts[racer % len(mounts)]}/swap"
        try:
            if turn % 4 < 2:
                with open(f"{place}/{('secret', 'hostname')[turn // 4 % 2]}") as file:
                    text = file.read()
                if text not in own:
                    return f"read from outside: {text!r}"
            elif turn % 8 < 4:
                with open(f"{place}/made-by-the-box", "w") as file:
                    file.write("inside")
            elif turn % 16 < 8:
                os.rename(f"{place}/victim", f"{place}/moved")
                os.rename(f"{place}/moved", f"{place}/victim")
            elif turn % 32 < 16:
                os.chmod(f"{place}/victim", 0o600 + turn % 2)
                os.truncate(f"{place}/victim", 6)
            else:
                os.mkdir(f"{place}/directory")
                os.rmdir(f"{place}/directory")
            inside += 1
        except OSError:
            refused += 1
    return f"{inside} {refused}"


answers, write = os.pipe()
for racer in range(RACERS):
    if os.fork() == 0:
        os.write(write, f"{race(racer)}\n".encode())
        os._exit(0)
os.close(write)
lines = os.fdopen(answers).read().splitlines()
os.kill(swapper, signal.SIGKILL)
for line in lines:
    if line.startswith("read"):
        print(line)
        sys.exit(1)
if len(lines) != RACERS:
    sys.exit("a racer died")
print(f"inside {sum(int(line.split()[0]) for line in lines)} refused {sum(int(line.split()[1]) for line in lines)}")
