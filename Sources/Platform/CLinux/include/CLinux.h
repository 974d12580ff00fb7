// Linux interfaces that the Glibc module map leaves out, and shims for what Swift cannot call: variadic calls, macros and
// the code between fork and exec. A shim does one thing, is prefixed `clinux_`, and returns -errno on failure.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// Variadic calls and GNU extensions, which the importer does not see. (shims.c)
int clinux_openat(int dirfd, const char *path, int flags, uint32_t mode);
int clinux_fcntl(int fd, int command, long argument);
int clinux_pipe(int descriptors[2]);
void clinux_name_thread(const char *name);
const char *clinux_error_text(int error);

/// From now on the first SIGINT or SIGTERM adds 1 to the eventfd, and the second ends this process at once with `status`,
/// whatever its threads wait for.
int clinux_trap_interrupts(int eventfd, int status);
/// The terminal gets back the mode it has now when an interrupt ends this process. -1: nothing to restore.
int clinux_restore_terminal_on_interrupt(int fd);

/// A stream socket connected to a Unix socket's path.
int clinux_connect_unix(const char *path);

/// Stores how the process behind a pidfd ended (a CLD_ code and its status), or 0 while it runs.
int clinux_reap(int pidfd, int *code, int *status);

/// The processor's time stamp counter; 0 where there is none.
static inline uint64_t clinux_timestamp_counter(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

static inline int clinux_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

static inline int clinux_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    return syscall(SYS_renameat2, from_dir, from, to_dir, to, flags) < 0 ? -errno : 0;
}

static inline int clinux_pidfd_open(pid_t pid) {
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : (int)fd;
}

static inline int clinux_pidfd_send_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

static inline int clinux_memfd_create(const char *name) {
    long fd = syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
    return fd < 0 ? -errno : (int)fd;
}

static inline int clinux_window_size(int fd, uint16_t columns, uint16_t rows) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static inline int clinux_get_window_size(int fd, uint16_t *columns, uint16_t *rows) {
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

struct clinux_rlimit {
    int resource;
    uint64_t soft;
    uint64_t hard;
};

/// What `clinux_spawn` does in the child, in this order: signal mask and dispositions reset, ids mapped in a new user
/// namespace, parent death signal, session,
/// descriptors, rlimits, OOM score, groups and ids, no_new_privs, working directory, execve.
struct clinux_spawn_options {
    const char *path;
    char *const *argv;
    char *const *envp;
    const char *cwd;           ///< NULL keeps the parent's.
    const int *descriptors;    ///< Child descriptor i is a duplicate of descriptors[i]; all others are closed.
    int descriptor_count;
    int cgroup_fd;             ///< Directory of a cgroup v2 the child is born in, or -1.
    int parent_death_signal;   ///< 0 for none. Tied to the *thread* that spawns: see prctl(2).
    int new_pid_namespace;     ///< The child is process 1 of its own PID namespace, and for all but root of a user namespace.
    int new_session;           ///< setsid()
    int controlling_terminal;  ///< Child descriptor 0 becomes the controlling terminal of the new session.
    int set_ids;               ///< Drop to uid/gid/groups below.
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups;
    int group_count;
    int no_new_privs;
    int set_oom_score_adj;
    int oom_score_adj;
    const struct clinux_rlimit *rlimits;
    int rlimit_count;
};

/// Step of the child that failed, as written to `failed_step`.
enum clinux_spawn_step {
    CLINUX_SPAWN_CLONE = 0,
    CLINUX_SPAWN_PARENT_GONE = 1,
    CLINUX_SPAWN_SESSION = 2,
    CLINUX_SPAWN_DESCRIPTORS = 3,
    CLINUX_SPAWN_RLIMIT = 4,
    CLINUX_SPAWN_OOM_SCORE = 5,
    CLINUX_SPAWN_IDS = 6,
    CLINUX_SPAWN_NO_NEW_PRIVS = 7,
    CLINUX_SPAWN_CWD = 8,
    CLINUX_SPAWN_EXEC = 9,
    CLINUX_SPAWN_NAMESPACE = 10,
};

/// Starts a process. Returns its pid and stores a pidfd, or returns -errno and stores the step that failed.
int clinux_spawn(const struct clinux_spawn_options *options, int *pidfd, int *failed_step);

#include "CLinuxConfinement.h"
#include "CLinuxFiles.h"
#include "CLinuxMachine.h"
#include "CLinuxSockets.h"
