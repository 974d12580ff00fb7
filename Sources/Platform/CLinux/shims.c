#define _GNU_SOURCE
#include "CLinux.h"

int clinux_openat(int dirfd, const char *path, int flags, uint32_t mode) {
    int fd = openat(dirfd, path, flags, mode);
    return fd < 0 ? -errno : fd;
}

int clinux_fcntl(int fd, int command, long argument) {
    int result = fcntl(fd, command, argument);
    return result < 0 ? -errno : result;
}

int clinux_pipe(int descriptors[2]) {
    return pipe2(descriptors, O_CLOEXEC) < 0 ? -errno : 0;
}

void clinux_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}

const char *clinux_error_text(int error) {
    return strerrordesc_np(error);
}

int clinux_reap(int pidfd, int *code, int *status) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) return -errno;
    *code = info.si_pid == 0 ? 0 : info.si_code;
    *status = info.si_status;
    return 0;
}

int clinux_connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static int interrupt_bell = -1;
static int interrupt_status;
static volatile sig_atomic_t interrupt_count;
static volatile sig_atomic_t interrupt_terminal = -1;
static struct termios interrupt_terminal_mode;

// Only what signal-safety(7) allows: write, tcsetattr, _exit.
static void interrupted(int signal) {
    (void)signal;
    int error = errno;
    if (interrupt_count++ > 0) {
        if (interrupt_terminal >= 0) tcsetattr(interrupt_terminal, TCSANOW, &interrupt_terminal_mode);
        _exit(interrupt_status);
    }
    uint64_t one = 1;
    ssize_t written = write(interrupt_bell, &one, sizeof one);
    (void)written;
    errno = error;
}

int clinux_trap_interrupts(int eventfd, int status) {
    interrupt_bell = eventfd;
    interrupt_status = status;
    struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0) return -errno;
    return 0;
}

int clinux_restore_terminal_on_interrupt(int fd) {
    interrupt_terminal = -1;
    if (fd < 0) return 0;
    if (tcgetattr(fd, &interrupt_terminal_mode) < 0) return -errno;
    interrupt_terminal = fd;
    return 0;
}
