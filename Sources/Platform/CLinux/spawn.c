// The only code of this project that runs between fork and exec. It calls nothing that takes a lock or allocates.
#define _GNU_SOURCE
#include "CLinux.h"

#include <grp.h>
#include <linux/sched.h>
#include <stdio.h>

struct failure {
    int error;
    int step;
};

static void fail(int report, int step) {
    struct failure failure = {.error = errno, .step = step};
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;  // The parent sees end of file instead and reports EPIPE; there is nobody else to tell.
    _exit(127);
}

static int write_file(const char *path, const char *text, size_t length) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t written = write(fd, text, length);
    close(fd);
    return written == (ssize_t)length ? 0 : -1;
}

static int write_number(const char *path, int value) {
    char text[16];
    int length = 0, negative = value < 0;
    unsigned magnitude = negative ? 0u - (unsigned)value : (unsigned)value;
    char digits[12];
    int count = 0;
    do {
        digits[count++] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (negative) text[length++] = '-';
    while (count) text[length++] = digits[--count];
    return write_file(path, text, (size_t)length);
}

/// Who the parent is, in the child's words: written before the child exists.
struct identity {
    char uid_map[40];
    char gid_map[40];
};

static void map_identity(const struct identity *identity, int report) {
    // The kernel wants setgroups denied before an unprivileged process maps its group.
    if (write_file("/proc/self/setgroups", "deny", 4) < 0 ||
        write_file("/proc/self/uid_map", identity->uid_map, strlen(identity->uid_map)) < 0 ||
        write_file("/proc/self/gid_map", identity->gid_map, strlen(identity->gid_map)) < 0)
        fail(report, CLINUX_SPAWN_NAMESPACE);
}

/// Whether the parent ended before it could be watched. A parent outside the child's PID namespace is 0, dead or alive; but
/// only the parent holds the other end of the report.
static int parent_is_gone(const struct clinux_spawn_options *o, int report, pid_t parent) {
    if (!o->new_pid_namespace) return getppid() != parent;
    struct pollfd end = {.fd = report};
    return poll(&end, 1, 0) > 0 && (end.revents & POLLERR);
}

static void place_descriptors(const struct clinux_spawn_options *o, int *report) {
    int count = o->descriptor_count;
    int moved[64];
    if (count > 64) {
        errno = EMFILE;
        fail(*report, CLINUX_SPAWN_DESCRIPTORS);
    }
    // First lift everything above the target range, so that no dup3 below overwrites a source that is still needed.
    int lifted = fcntl(*report, F_DUPFD_CLOEXEC, count + 1);
    if (lifted < 0) fail(*report, CLINUX_SPAWN_DESCRIPTORS);
    *report = lifted;
    for (int i = 0; i < count; i++) {
        moved[i] = fcntl(o->descriptors[i], F_DUPFD_CLOEXEC, count + 1);
        if (moved[i] < 0) fail(*report, CLINUX_SPAWN_DESCRIPTORS);
    }
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], i) < 0) fail(*report, CLINUX_SPAWN_DESCRIPTORS);
    // Everything else of ours is opened O_CLOEXEC; a library's descriptor that is not must not reach the child either.
    if (syscall(SYS_close_range, (unsigned)count, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0)
        fail(*report, CLINUX_SPAWN_DESCRIPTORS);
}

static void child(const struct clinux_spawn_options *o, int report, pid_t parent, const struct identity *identity) {
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(signal, &action, NULL);  // SIGKILL and SIGSTOP refuse, which is as intended.
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    if (identity) map_identity(identity, report);
    if (o->parent_death_signal) {
        prctl(PR_SET_PDEATHSIG, o->parent_death_signal);
        if (parent_is_gone(o, report, parent)) {  // The parent died before the line above.
            errno = ESRCH;
            fail(report, CLINUX_SPAWN_PARENT_GONE);
        }
    }
    if (o->new_session && setsid() < 0) fail(report, CLINUX_SPAWN_SESSION);
    place_descriptors(o, &report);
    if (o->controlling_terminal && ioctl(0, TIOCSCTTY, 0) < 0) fail(report, CLINUX_SPAWN_SESSION);
    for (int i = 0; i < o->rlimit_count; i++) {
        struct rlimit limit = {.rlim_cur = o->rlimits[i].soft, .rlim_max = o->rlimits[i].hard};
        if (setrlimit((__rlimit_resource_t)o->rlimits[i].resource, &limit) < 0) fail(report, CLINUX_SPAWN_RLIMIT);
    }
    if (o->set_oom_score_adj && write_number("/proc/self/oom_score_adj", o->oom_score_adj) < 0)
        fail(report, CLINUX_SPAWN_OOM_SCORE);
    if (o->set_ids) {
        // Raw system calls: glibc's wrappers signal every thread of a process that this child does not have.
        if (syscall(SYS_setgroups, (size_t)o->group_count, o->groups) < 0) fail(report, CLINUX_SPAWN_IDS);
        if (syscall(SYS_setresgid, o->gid, o->gid, o->gid) < 0) fail(report, CLINUX_SPAWN_IDS);
        if (syscall(SYS_setresuid, o->uid, o->uid, o->uid) < 0) fail(report, CLINUX_SPAWN_IDS);
        // Changing ids clears the parent death signal.
        if (o->parent_death_signal) prctl(PR_SET_PDEATHSIG, o->parent_death_signal);
    }
    if (o->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail(report, CLINUX_SPAWN_NO_NEW_PRIVS);
    if (o->cwd && chdir(o->cwd) < 0) fail(report, CLINUX_SPAWN_CWD);
    execve(o->path, o->argv, o->envp);
    fail(report, CLINUX_SPAWN_EXEC);
}

int clinux_spawn(const struct clinux_spawn_options *options, int *pidfd, int *failed_step) {
    *pidfd = -1;
    *failed_step = CLINUX_SPAWN_CLONE;
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) return -errno;

    // A signal handler of the parent must not run in the child: block everything until the child has reset its handlers.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    pid_t parent = getpid();
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = SIGCHLD};
    if (options->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)options->cgroup_fd;
    }
    struct identity identity;
    int in_user_namespace = options->new_pid_namespace && geteuid() != 0;
    if (options->new_pid_namespace) args.flags |= CLONE_NEWPID;
    if (in_user_namespace) {
        args.flags |= CLONE_NEWUSER;
        snprintf(identity.uid_map, sizeof identity.uid_map, "%u %u 1", geteuid(), geteuid());
        snprintf(identity.gid_map, sizeof identity.gid_map, "%u %u 1", getegid(), getegid());
    }
    long pid = syscall(SYS_clone3, &args, sizeof args);
    int error = errno;
    if (pid == 0) {
        close(report[0]);
        child(options, report[1], parent, in_user_namespace ? &identity : NULL);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return -error;
    }

    struct failure failure;
    ssize_t count;
    do count = read(report[0], &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count == 0) return (int)pid;  // execve closed the pipe.

    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
    close(*pidfd);
    *pidfd = -1;
    if (count != (ssize_t)sizeof failure) return -EPIPE;
    *failed_step = failure.step;
    return -failure.error;
}
