"""POSIX checks of a directory, in the manner of pjdfstest. Runs in a box, on a share that may be written.

usage: share_checks.py DIRECTORY [NAME...]

Each check gets an empty directory of its own below DIRECTORY. Prints a line "ok NAME", "skip NAME: why" or "FAIL NAME: why"
for each, with the seconds it took. Those that need several users want root.
"""
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import shutil
import signal
import stat
import sys
import time
import traceback

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
SANDBOX = 1000

CHECKS = []


class Skip(Exception):
    pass


def check(function):
    CHECKS.append(function)
    return function


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what + ': ' if what else ''}{got!r}, not {wanted!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


@contextlib.contextmanager
def refused(*numbers):
    try:
        yield
    except OSError as error:
        if error.errno in numbers:
            return
        names = ", ".join(errno.errorcode[number] for number in numbers)
        raise AssertionError(f"{errno.errorcode.get(error.errno)}, not {names}") from error
    raise AssertionError("allowed, not " + ", ".join(errno.errorcode[number] for number in numbers))


def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def renameat2(old, new, flags):
    if libc.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), old)


def process(body, *arguments):
    """Runs a function in a process of its own; its exit status is 0 unless it raises."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        body(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def succeed(pids):
    for pid in pids:
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "a process")


def as_user(uid, body, *arguments):
    def switched():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        body(*arguments)

    succeed([process(switched)])


# Names


@check
def a_name_of_255_bytes_is_the_longest():
    name = "n" * 255
    write(name, "x")
    equal(os.listdir("."), [name])
    for call in (
        lambda: os.mkdir("n" * 256),
        lambda: os.open("n" * 256, os.O_CREAT | os.O_WRONLY),
        lambda: os.stat("n" * 256),
        lambda: os.symlink("x", "n" * 256),
        lambda: os.link(name, "n" * 256),
        lambda: os.rename(name, "n" * 256),
        lambda: os.mkfifo("n" * 256),
        lambda: os.unlink("n" * 256),
    ):
        with refused(errno.ENAMETOOLONG):
            call()
    os.unlink(name)


@check
def a_path_of_4096_bytes_is_too_long():
    with refused(errno.ENAMETOOLONG):
        os.stat("./" * 2048 + "x")


@check
def names_are_bytes():
    for name in (b"\xff\xfe", "ümläut".encode(), b"new\nline", b" ", b"-rf", b"back\\slash", b"..."):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
        true(name in os.listdir(b"."), f"{name!r} is not listed")
        os.unlink(name)


@check
def what_is_not_there_is_not_found():
    for call in (
        lambda: os.stat("missing"),
        lambda: os.open("missing", os.O_RDONLY),
        lambda: os.unlink("missing"),
        lambda: os.rmdir("missing"),
        lambda: os.rename("missing", "other"),
        lambda: os.link("missing", "other"),
        lambda: os.mkdir("missing/below"),
        lambda: os.truncate("missing", 0),
        lambda: os.chmod("missing", 0o600),
    ):
        with refused(errno.ENOENT):
            call()


@check
def a_file_is_no_directory():
    write("file", "x")
    for call in (lambda: os.stat("file/below"), lambda: os.mkdir("file/below"), lambda: os.rmdir("file"),
                 lambda: os.open("file", os.O_DIRECTORY)):
        with refused(errno.ENOTDIR):
            call()


# Files


@check
def o_excl_refuses_what_is_there():
    write("file", "kept")
    os.symlink("nowhere", "dangling")
    os.mkdir("directory")
    for name in ("file", "dangling", "directory"):
        with refused(errno.EEXIST):
            os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    equal(read("file"), "kept")


@check
def one_of_many_gets_o_excl():
    def contend(number):
        wins = 0
        for turn in range(15):
            try:
                os.close(os.open(f"lock{turn}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                wins += 1
            except FileExistsError:
                pass
        write(f"wins{number}", str(wins))

    succeed([process(contend, number) for number in range(4)])
    equal(sum(int(read(f"wins{number}")) for number in range(4)), 15)


@check
def a_new_file_has_the_mode_less_the_umask():
    for umask, mode, wanted in ((0o022, 0o666, 0o644), (0o077, 0o777, 0o700), (0, 0o666, 0o666), (0o027, 0o640, 0o640)):
        before = os.umask(umask)
        try:
            os.close(os.open("file", os.O_CREAT | os.O_EXCL, mode))
            os.mkdir("directory", mode)
            os.mkfifo("fifo", mode)
        finally:
            os.umask(before)
        for name in ("file", "directory", "fifo"):
            equal(stat.S_IMODE(os.stat(name).st_mode), wanted, f"{name} with umask {umask:o}")
        os.unlink("file")
        os.rmdir("directory")
        os.unlink("fifo")


@check
def a_file_made_read_only_can_be_written_by_who_made_it():
    descriptor = os.open("file", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o400)
    os.write(descriptor, b"text")
    os.ftruncate(descriptor, 2)
    equal(os.pread(descriptor, 9, 0), b"te")
    os.close(descriptor)


@check
def truncation_cuts_and_extends():
    write("file", "0123456789")
    os.truncate("file", 4)
    equal(read("file"), "0123")
    os.truncate("file", 8)
    equal(open("file", "rb").read(), b"0123\0\0\0\0")
    with open("file", "r+b") as file:
        file.truncate(2)
        equal(os.fstat(file.fileno()).st_size, 2)
    with open("file", "wb"):
        equal(os.stat("file").st_size, 0)
    with refused(errno.EINVAL):
        os.truncate("file", -1)
    with refused(errno.EISDIR):
        os.truncate(".", 0)


@check
def reads_and_writes_know_their_access():
    write("file", "x")
    reader, writer = os.open("file", os.O_RDONLY), os.open("file", os.O_WRONLY)
    with refused(errno.EBADF):
        os.write(reader, b"y")
    with refused(errno.EBADF):
        os.read(writer, 1)
    with refused(errno.EISDIR):
        os.open(".", os.O_WRONLY)
    os.close(reader)
    os.close(writer)


@check
def an_unlinked_file_stays_open():
    descriptor = os.open("file", os.O_CREAT | os.O_RDWR)
    os.write(descriptor, b"before ")
    os.unlink("file")
    equal(os.fstat(descriptor).st_nlink, 0)
    os.write(descriptor, b"after")
    os.fchmod(descriptor, 0o600)
    equal(os.pread(descriptor, 99, 0), b"before after")
    equal(stat.S_IMODE(os.fstat(descriptor).st_mode), 0o600)
    os.ftruncate(descriptor, 6)
    equal(os.fstat(descriptor).st_size, 6)
    # A new file of that name is another one.
    write("file", "new")
    equal(os.pread(descriptor, 99, 0), b"before")
    os.close(descriptor)
    equal(read("file"), "new")


@check
def a_file_renamed_over_stays_open():
    write("old", "old")
    write("new", "new")
    with open("new") as file:
        os.rename("old", "new")
        equal(file.read(), "new")
        equal(os.fstat(file.fileno()).st_nlink, 0)
    equal(read("new"), "old")


@check
def a_temporary_file_without_a_name():
    try:
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            raise Skip("O_TMPFILE is not offered")
        raise
    os.write(descriptor, b"x")
    equal(os.listdir("."), [])
    os.close(descriptor)


@check
def holes_take_no_space_and_read_as_zeros():
    with open("sparse", "wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    status = os.stat("sparse")
    equal(status.st_size, (64 << 20) + 3)
    true(status.st_blocks * 512 < 1 << 20, f"{status.st_blocks} blocks")
    with open("sparse", "rb") as file:
        file.seek(32 << 20)
        equal(file.read(10), bytes(10))
        hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
        equal(hole, 0)
        data = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        true(0 < data <= 64 << 20, f"data at {data}")
        equal(os.lseek(file.fileno(), data, os.SEEK_HOLE), (64 << 20) + 3)
        with refused(errno.ENXIO):
            os.lseek(file.fileno(), (64 << 20) + 4, os.SEEK_DATA)


@check
def fallocate_reserves_and_punches():
    descriptor = os.open("file", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(descriptor, 0, 1 << 20)
    status = os.fstat(descriptor)
    equal(status.st_size, 1 << 20)
    true(status.st_blocks * 512 >= 1 << 20, f"{status.st_blocks} blocks")
    os.pwrite(descriptor, b"x" * (1 << 20), 0)
    # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    offset, count = ctypes.c_long(64 << 10), ctypes.c_long(128 << 10)
    equal(libc.fallocate(descriptor, 3, offset, count), 0, "punch a hole")
    equal(os.pread(descriptor, 4, 64 << 10), bytes(4))
    equal(os.pread(descriptor, 4, 0), b"xxxx")
    equal(os.fstat(descriptor).st_size, 1 << 20)
    os.close(descriptor)


@check
def a_large_file_has_the_bytes_that_were_written():
    pieces = [random.Random(number).randbytes(1 << 20) for number in range(8)]
    with open("large", "wb") as file:
        for piece in pieces:
            file.write(piece)
    with open("large", "rb") as file:
        for number, piece in enumerate(pieces):
            true(file.read(1 << 20) == piece, f"MiB {number} is another")
        equal(file.read(1), b"")


@check
def copy_file_range_copies():
    write("source", "0123456789" * 10000)
    with open("source", "rb") as source, open("target", "wb") as target:
        rest = 100000
        while rest > 0:
            count = os.copy_file_range(source.fileno(), target.fileno(), rest)
            true(count > 0, "it ended early")
            rest -= count
    equal(read("target"), "0123456789" * 10000)


@check
def a_mapping_is_the_file():
    write("file", "a" * 8192)
    with open("file", "r+b") as file:
        with mmap.mmap(file.fileno(), 8192) as mapping:
            mapping[4096:4100] = b"bbbb"
            mapping.flush()
            equal(os.pread(file.fileno(), 6, 4095), b"abbbba")
            os.pwrite(file.fileno(), b"cc", 0)
            equal(mapping[0:3], b"cca")


@check
def appends_of_many_processes_lose_nothing():
    def append(number):
        descriptor = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for turn in range(60):
            line = f"{number} {turn} ".ljust(63, "x").encode() + b"\n"
            equal(os.write(descriptor, line), 64)
        os.close(descriptor)

    succeed([process(append, number) for number in range(5)])
    lines = read("log").splitlines()
    equal(len(lines), 300, "lines")
    for number in range(5):
        turns = [int(line.split()[1]) for line in lines if line.startswith(f"{number} ")]
        equal(turns, list(range(60)), f"turns of {number}")


@check
def an_append_goes_to_the_end_whatever_the_offset():
    write("file", "begin")
    descriptor = os.open("file", os.O_RDWR | os.O_APPEND)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, b" end")
    equal(read("file"), "begin end")
    os.close(descriptor)


@check
def o_sync_and_fsync_are_accepted():
    for flags in (os.O_SYNC, os.O_DSYNC, os.O_RSYNC):
        descriptor = os.open("file", os.O_CREAT | os.O_WRONLY | flags)
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        os.fdatasync(descriptor)
        os.close(descriptor)
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


# Renames


@check
def a_rename_replaces_a_file():
    write("old", "old")
    write("new", "new")
    number = os.stat("old").st_ino
    os.rename("old", "new")
    equal(os.listdir("."), ["new"])
    equal(read("new"), "old")
    equal(os.stat("new").st_ino, number, "inode")


@check
def a_rename_onto_another_name_of_the_file_does_nothing():
    write("one", "x")
    os.link("one", "two")
    os.rename("one", "two")
    equal(sorted(os.listdir(".")), ["one", "two"])
    equal(os.stat("one").st_nlink, 2)


@check
def a_rename_of_a_directory_replaces_an_empty_one_only():
    os.makedirs("old/below")
    os.mkdir("empty")
    os.makedirs("full/below")
    write("file", "x")
    with refused(errno.ENOTEMPTY, errno.EEXIST):
        os.rename("old", "full")
    with refused(errno.ENOTDIR):
        os.rename("old", "file")
    with refused(errno.EISDIR):
        os.rename("file", "empty")
    with refused(errno.EINVAL):
        os.rename("old", "old/below/inside")
    os.rename("old", "empty")
    equal(os.listdir("empty"), ["below"])
    true(not os.path.exists("old"), "the old name is still there")


@check
def a_moved_directory_keeps_its_files():
    os.makedirs("a/b")
    os.mkdir("c")
    write("a/b/file", "x")
    with open("a/b/file") as file:
        os.rename("a/b", "c/d")
        equal(read("c/d/file"), "x")
        equal(file.read(), "x")
    equal(os.stat("a").st_nlink, 2, "links of the old parent")
    equal(os.stat("c").st_nlink, 3, "links of the new parent")
    equal(os.stat("c/d/..").st_ino, os.stat("c").st_ino, "the parent")


@check
def rename_noreplace_refuses_what_is_there():
    write("old", "old")
    write("new", "new")
    with refused(errno.EEXIST):
        renameat2("old", "new", RENAME_NOREPLACE)
    equal(read("new"), "new")
    renameat2("old", "other", RENAME_NOREPLACE)
    equal(read("other"), "old")


@check
def rename_exchange_swaps_two_names():
    write("file", "text")
    os.mkdir("directory")
    write("directory/inside", "x")
    renameat2("file", "directory", RENAME_EXCHANGE)
    equal(read("directory"), "text")
    equal(os.listdir("file"), ["inside"])
    with refused(errno.ENOENT):
        renameat2("file", "missing", RENAME_EXCHANGE)


@check
def rename_whiteout_is_not_offered():
    write("old", "x")
    with refused(errno.EINVAL, errno.EPERM):
        renameat2("old", "new", RENAME_WHITEOUT)
    equal(read("old"), "x")


@check
def a_name_that_is_renamed_over_is_never_missing():
    write("name", "0" * 100)

    def replace(number):
        for turn in range(25):
            write(f"temporary{number}", str(number) * 100)
            os.rename(f"temporary{number}", "name")

    pids = [process(replace, number) for number in (1, 2)]
    for _ in range(50):
        text = read("name")
        true(len(text) == 100 and len(set(text)) == 1, f"half a file: {text!r}")
    succeed(pids)


# Links


@check
def link_counts_are_right():
    write("one", "x")
    equal(os.stat("one").st_nlink, 1)
    os.link("one", "two")
    os.mkdir("directory")
    os.link("one", "directory/three")
    equal([os.stat(name).st_nlink for name in ("one", "two", "directory/three")], [3, 3, 3])
    equal(len({os.stat(name).st_ino for name in ("one", "two", "directory/three")}), 1, "inodes")
    write("two", "y", "a")
    equal(read("directory/three"), "xy")
    os.unlink("one")
    equal(os.stat("two").st_nlink, 2)
    with refused(errno.EEXIST):
        os.link("two", "directory/three")
    with refused(errno.EPERM):
        os.link("directory", "hard")


@check
def link_counts_of_directories_are_right():
    os.mkdir("top")
    equal(os.stat("top").st_nlink, 2)
    os.mkdir("top/a")
    os.mkdir("top/b")
    equal(os.stat("top").st_nlink, 4)
    os.rmdir("top/a")
    equal(os.stat("top").st_nlink, 3)
    with refused(errno.ENOTEMPTY, errno.EEXIST):
        os.rmdir("top")
    with refused(errno.EISDIR, errno.EPERM):
        os.unlink("top")


@check
def a_symbolic_link_says_what_it_was_told():
    for target in ("file", "/absolute/path", "../..", "x" * 4095, "ümläut", " "):
        os.symlink(target, "link")
        equal(os.readlink("link"), target)
        equal(os.lstat("link").st_size, len(target.encode()))
        true(stat.S_ISLNK(os.lstat("link").st_mode), "not a link")
        os.unlink("link")
    with refused(errno.ENOENT):
        os.symlink("", "empty")
    with refused(errno.ENAMETOOLONG):
        os.symlink("x" * 4096, "long")


@check
def a_symbolic_link_is_followed_or_not():
    write("file", "text")
    os.symlink("file", "link")
    equal(read("link"), "text")
    equal(os.stat("link").st_ino, os.stat("file").st_ino)
    with refused(errno.ELOOP):
        os.open("link", os.O_RDONLY | os.O_NOFOLLOW)
    os.symlink("loop", "loop")
    with refused(errno.ELOOP):
        os.stat("loop")
    # A write through a dangling link makes its target.
    os.symlink("made", "maker")
    write("maker", "x")
    equal(read("made"), "x")
    os.link("link", "hard", follow_symlinks=False)
    true(os.path.islink("hard"), "the hard link of a link is no link")
    os.unlink("link")
    equal(read("file"), "text")


@check
def the_times_of_a_symbolic_link_are_its_own():
    write("file", "x")
    os.symlink("file", "link")
    before = os.stat("file").st_mtime_ns
    os.utime("link", ns=(1, 2), follow_symlinks=False)
    equal(os.lstat("link").st_mtime_ns, 2)
    equal(os.stat("file").st_mtime_ns, before)


# Times


@check
def times_are_kept_to_the_nanosecond():
    write("file", "x")
    os.mkdir("directory")
    for name in ("file", "directory"):
        for times in ((1_000_000_001, 1_234_567_890_123_456_789), (0, 999_999_999), (2**32 * 10**9 + 7, 2**31 * 10**9)):
            os.utime(name, ns=times)
            status = os.stat(name)
            equal((status.st_atime_ns, status.st_mtime_ns), times, name)
    descriptor = os.open("file", os.O_RDWR)
    os.utime(descriptor, ns=(5, 6))
    equal(os.stat("file").st_mtime_ns, 6)
    os.close(descriptor)


@check
def one_time_can_be_left_or_be_now():
    UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
    write("file", "x")
    os.utime("file", ns=(11, 22))

    def utimensat(accessed, modified):
        times = (ctypes.c_long * 4)(0, accessed, 0, modified)
        equal(libc.utimensat(AT_FDCWD, b"file", times, 0), 0, "utimensat")

    utimensat(UTIME_OMIT, 33)
    equal((os.stat("file").st_atime_ns, os.stat("file").st_mtime_ns), (11, 33))
    utimensat(44, UTIME_OMIT)
    equal((os.stat("file").st_atime_ns, os.stat("file").st_mtime_ns), (44, 33))
    utimensat(UTIME_OMIT, UTIME_NOW)
    true(abs(os.stat("file").st_mtime - time.time()) < 30, "it is not now")
    equal(os.stat("file").st_atime_ns, 44)


@check
def changes_move_the_times():
    def moved(what, path, field, change):
        os.utime(path, ns=(1, 1)) if field == "st_mtime_ns" else time.sleep(0.03)
        before = getattr(os.stat(path), field)
        change()
        true(getattr(os.stat(path), field) > before, f"{what} does not move {field}")

    os.mkdir("directory")
    write("directory/file", "x")
    moved("a write", "directory/file", "st_mtime_ns", lambda: write("directory/file", "y"))
    moved("a truncation", "directory/file", "st_mtime_ns", lambda: os.truncate("directory/file", 0))
    moved("a new file", "directory", "st_mtime_ns", lambda: write("directory/new", ""))
    moved("an unlink", "directory", "st_mtime_ns", lambda: os.unlink("directory/new"))
    moved("a rename", "directory", "st_mtime_ns", lambda: os.rename("directory/file", "directory/moved"))
    moved("a chmod", "directory/moved", "st_ctime_ns", lambda: os.chmod("directory/moved", 0o600))
    moved("a link", "directory/moved", "st_ctime_ns", lambda: os.link("directory/moved", "directory/link"))
    moved("an unlink of one name", "directory/moved", "st_ctime_ns", lambda: os.unlink("directory/link"))


# Permissions


@check
def a_file_belongs_to_who_made_it():
    write("file", "x")
    os.mkdir("directory")
    os.symlink("file", "link")
    wanted = (SANDBOX, SANDBOX)
    for name in ("file", "directory", "link", "."):
        status = os.lstat(name)
        equal((status.st_uid, status.st_gid), wanted, name)


@check
def chmod_sets_every_bit():
    write("file", "x")
    os.mkdir("directory")
    for mode in (0o600, 0o640, 0o755, 0o777, 0o444, 0o111, 0o1644, 0o700):
        os.chmod("file", mode)
        equal(stat.S_IMODE(os.stat("file").st_mode), mode)
    for mode in (0o700, 0o1777, 0o2755, 0o755):
        os.chmod("directory", mode)
        equal(stat.S_IMODE(os.stat("directory").st_mode), mode)


@check
def set_id_bits_of_files_do_not_reach_the_host():
    write("file", "x")
    os.chmod("file", 0o6755)
    equal(stat.S_IMODE(os.stat("file").st_mode), 0o755)
    os.close(os.open("new", os.O_CREAT | os.O_EXCL, 0o4755))
    equal(stat.S_IMODE(os.stat("new").st_mode) & 0o7000, 0)


def permissions_of_the_owner():
    write("file", "x")
    os.chmod("file", 0o200)
    with refused(errno.EACCES):
        os.open("file", os.O_RDONLY)
    write("file", "y")
    os.chmod("file", 0o400)
    with refused(errno.EACCES):
        os.open("file", os.O_WRONLY)
    equal(read("file"), "y")
    os.mkdir("closed")
    write("closed/file", "x")
    os.chmod("closed", 0o600)
    with refused(errno.EACCES):
        os.stat("closed/file")
    equal(os.listdir("closed"), ["file"])
    os.chmod("closed", 0o500)
    equal(read("closed/file"), "x")
    for call in (
        lambda: write("closed/new", "x"),
        lambda: os.unlink("closed/file"),
        lambda: os.rename("closed/file", "closed/other"),
        lambda: os.mkdir("closed/below"),
        lambda: os.link("closed/file", "closed/link"),
        lambda: os.symlink("x", "closed/symbolic"),
    ):
        with refused(errno.EACCES):
            call()
    os.chmod("closed", 0o300)
    with refused(errno.EACCES):
        os.listdir("closed")
    equal(read("closed/file"), "x")
    write("script", "#!/bin/sh\nexit 7\n")
    with refused(errno.EACCES):
        os.execv("./script", ["script"])
    os.chmod("script", 0o700)
    equal(os.waitstatus_to_exitcode(os.system("./script")), 7)
    os.chmod("closed", 0o700)


@check
def permissions_hold_for_the_owner():
    if os.getuid() == 0:
        as_user(SANDBOX, permissions_of_the_owner)
    else:
        permissions_of_the_owner()


@check
def permissions_hold_for_others():
    if os.getuid() != 0:
        raise Skip("needs root")
    os.chmod(".", 0o755)
    for name, mode in (("private", 0o600), ("shown", 0o644), ("open", 0o666)):
        write(name, name)
        os.chmod(name, mode)
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    write("sticky/file", "x")

    def stranger():
        with refused(errno.EACCES):
            read("private")
        equal(read("shown"), "shown")
        with refused(errno.EACCES):
            write("shown", "x")
        write("open", "changed")
        with refused(errno.EACCES):
            write("new", "x")
        with refused(errno.EACCES):
            os.unlink("open")
        with refused(errno.EPERM):
            os.chmod("open", 0o777)
        with refused(errno.EPERM):
            os.utime("open", ns=(1, 1))
        with refused(errno.EPERM, errno.EACCES):
            os.unlink("sticky/file")

    as_user(2000, stranger)
    equal(read("open"), "changed")


@check
def an_owner_cannot_be_given_away():
    write("file", "x")
    with refused(errno.EPERM):
        os.chown("file", 2000, 2000)
    # What it is already is no change.
    os.chown("file", SANDBOX, SANDBOX)
    os.chown("file", -1, -1)


@check
def device_nodes_cannot_be_made():
    with refused(errno.EPERM):
        os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 3))


@check
def fifos_and_sockets_work():
    import socket

    os.mkfifo("fifo")
    true(stat.S_ISFIFO(os.stat("fifo").st_mode), "no fifo")
    pid = process(lambda: write("fifo", "through"))
    equal(read("fifo"), "through")
    succeed([pid])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        listener.listen()
        true(stat.S_ISSOCK(os.stat("socket").st_mode), "no socket")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("socket")


# Extended attributes


@check
def user_attributes_are_kept():
    write("file", "x")
    os.mkdir("directory")
    for name in ("file", "directory"):
        try:
            os.setxattr(name, "user.one", b"1")
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                raise Skip("the host's file system has none")
            raise
        os.setxattr(name, "user.empty", b"")
        equal(os.getxattr(name, "user.one"), b"1")
        equal(os.getxattr(name, "user.empty"), b"")
        equal(sorted(os.listxattr(name)), ["user.empty", "user.one"])
        with refused(errno.EEXIST):
            os.setxattr(name, "user.one", b"2", os.XATTR_CREATE)
        with refused(errno.ENODATA):
            os.setxattr(name, "user.two", b"2", os.XATTR_REPLACE)
        os.setxattr(name, "user.one", b"2" * 1000, os.XATTR_REPLACE)
        equal(os.getxattr(name, "user.one"), b"2" * 1000)
        os.removexattr(name, "user.one")
        with refused(errno.ENODATA):
            os.getxattr(name, "user.one")
        with refused(errno.ENODATA):
            os.removexattr(name, "user.one")


@check
def attributes_of_the_host_are_out_of_reach():
    write("file", "x")
    for name in ("trusted.x", "security.x", "system.posix_acl_access"):
        with refused(errno.ENOTSUP, errno.EPERM, errno.EINVAL):
            os.setxattr("file", name, b"1")


# Locks


@check
def flock_excludes_other_processes():
    with open("file", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def contend():
            with open("file") as other:
                with refused(errno.EAGAIN):
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with refused(errno.EAGAIN):
                    fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)

        succeed([process(contend)])
        fcntl.flock(file, fcntl.LOCK_UN)

        def take():
            with open("file") as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

        succeed([process(take)])


@check
def record_locks_exclude_their_range_only():
    with open("file", "w+") as file:
        file.write("x" * 100)
        file.flush()
        fcntl.lockf(file, fcntl.LOCK_EX, 10, 0)

        def contend():
            with open("file", "r+") as other:
                with refused(errno.EAGAIN, errno.EACCES):
                    fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
                fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50)

        succeed([process(contend)])


@check
def locks_make_a_counter_right():
    write("counter", "0")

    def count(take, release):
        for _ in range(15):
            with open("counter", "r+") as file:
                take(file)
                number = int(file.read())
                file.seek(0)
                file.write(str(number + 1))
                file.flush()
                release(file)

    def flock(file):
        fcntl.flock(file, fcntl.LOCK_EX)

    def record(file):
        fcntl.lockf(file, fcntl.LOCK_EX)

    succeed([process(count, flock, lambda file: fcntl.flock(file, fcntl.LOCK_UN)) for _ in range(3)])
    equal(read("counter"), "45", "with flock")
    succeed([process(count, record, lambda file: fcntl.lockf(file, fcntl.LOCK_UN)) for _ in range(3)])
    equal(read("counter"), "90", "with record locks")


@check
def a_lock_ends_with_its_process():
    write("file", "x")
    ready, go = os.pipe()

    def hold():
        file = open("file", "r+")
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.write(go, b"1")
        signal.pause()

    pid = process(hold)
    os.read(ready, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with open("file", "r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Directories


@check
def a_large_directory_lists_every_entry_once():
    names = [f"entry-{number:05}" for number in range(700)]
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
    equal(sorted(os.listdir(".")), names)
    equal(sorted(entry.name for entry in os.scandir(".") if entry.is_file()), names)


@check
def a_directory_that_changes_keeps_what_stays():
    stay = {f"stay-{number:04}" for number in range(300)}
    for name in stay:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))

    def churn():
        for turn in range(40):
            write(f"come-{turn}", "")
            os.rename(f"come-{turn}", f"moved-{turn}")
            os.unlink(f"moved-{turn}")

    pid = process(churn)
    lists = 0
    while lists < 6:
        names = os.listdir(".")
        equal(len(names), len(set(names)), "an entry came twice")
        true(stay <= set(names), f"missing: {sorted(stay - set(names))[:5]}")
        lists += 1
    succeed([pid])


@check
def a_directory_can_be_emptied_while_it_is_read():
    for number in range(150):
        os.close(os.open(f"file-{number}", os.O_CREAT | os.O_EXCL))
    with os.scandir(".") as entries:
        for entry in entries:
            os.unlink(entry.name)
    equal(os.listdir("."), [])


@check
def a_removed_directory_is_gone_for_who_is_in_it():
    os.mkdir("directory")

    def inside():
        os.chdir("directory")
        os.rmdir("../directory")
        equal(os.listdir("."), [])
        with refused(errno.ENOENT):
            write("file", "x")

    succeed([process(inside)])


@check
def dot_and_dot_dot_cannot_be_removed():
    os.mkdir("directory")
    with refused(errno.EINVAL):
        os.rmdir("directory/.")
    with refused(errno.ENOTEMPTY, errno.EINVAL):
        os.rmdir("directory/..")
    with refused(errno.EBUSY, errno.EINVAL):
        os.rename("directory/.", "other")


@check
def a_tree_is_removed_whole():
    for number in range(4):
        os.makedirs(f"tree/{number}/deep/er")
        for name in range(8):
            write(f"tree/{number}/deep/{name}", "x")
        os.symlink("/etc", f"tree/{number}/link")
    shutil.rmtree("tree")
    equal(os.listdir("."), [])
    true(os.path.exists("/etc/passwd"), "a link was followed")


@check
def a_deep_path_works():
    depth = 60
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    write("file", "deep")
    for _ in range(depth):
        os.chdir("..")
    equal(read("d/" * depth + "file"), "deep")


@check
def the_file_system_tells_its_size():
    status = os.statvfs(".")
    true(status.f_blocks > 0 and status.f_bsize > 0, "it has no size")
    equal(status.f_namemax, 255)


def run(function, top):
    # A directory of its own, whose name does not matter.
    place = os.path.join(top, function.__name__)
    os.mkdir(place, 0o755)
    start = time.monotonic()
    try:
        os.chdir(place)
        function()
        print(f"ok {function.__name__} {time.monotonic() - start:.2f} s")
    except Skip as reason:
        print(f"skip {function.__name__}: {reason}")
    except BaseException as error:
        line = next((f" (line {f.lineno})" for f in traceback.extract_tb(error.__traceback__) if f.name == function.__name__), "")
        print(f"FAIL {function.__name__}: {type(error).__name__} {error}{line}")
    finally:
        os.chdir(top)
        shutil.rmtree(place, ignore_errors=True)
        sys.stdout.flush()


if __name__ == "__main__":
    top, names = os.path.abspath(sys.argv[1]), sys.argv[2:]
    os.umask(0o022)
    for function in CHECKS:
        if not names or function.__name__ in names:
            run(function, top)
