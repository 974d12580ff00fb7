#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <net/route.h>
#include <netinet/tcp.h>

static int named(struct ifreq *request, const char *name) {
    memset(request, 0, sizeof *request);
    size_t length = strlen(name);
    if (length >= sizeof request->ifr_name) return -ENAMETOOLONG;
    memcpy(request->ifr_name, name, length);
    return 0;
}

static void set_ipv4(struct sockaddr *socket_address, uint32_t address) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {.s_addr = address}};
    memcpy(socket_address, &in, sizeof in);
}

int clinux_interface_up(int socket, const char *name) {
    struct ifreq request;
    int result = named(&request, name);
    if (result < 0) return result;
    if (ioctl(socket, SIOCGIFFLAGS, &request) < 0) return -errno;
    request.ifr_flags |= IFF_UP;
    return ioctl(socket, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int clinux_interface_set_address(int socket, const char *name, uint32_t address, uint32_t mask) {
    struct ifreq request;
    int result = named(&request, name);
    if (result < 0) return result;
    set_ipv4(&request.ifr_addr, address);
    if (ioctl(socket, SIOCSIFADDR, &request) < 0) return -errno;
    set_ipv4(&request.ifr_netmask, mask);
    return ioctl(socket, SIOCSIFNETMASK, &request) < 0 ? -errno : 0;
}

int clinux_add_default_route(int socket, uint32_t gateway) {
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    set_ipv4(&route.rt_dst, 0);
    set_ipv4(&route.rt_genmask, 0);
    set_ipv4(&route.rt_gateway, gateway);
    return ioctl(socket, SIOCADDRT, &route) < 0 ? -errno : 0;
}

int clinux_open_terminal(int *terminal) {
    int manager = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (manager < 0) return -errno;
    int unlock = 0;
    if (ioctl(manager, TIOCSPTLCK, &unlock) == 0) {
        // By descriptor, not by the name of the terminal: right whatever is mounted at /dev/pts.
        *terminal = ioctl(manager, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (*terminal >= 0) return manager;
    }
    int error = errno;
    close(manager);
    return -error;
}

int clinux_set_clock(int64_t seconds, int64_t nanoseconds) {
    struct timespec time = {.tv_sec = seconds, .tv_nsec = nanoseconds};
    return clock_settime(CLOCK_REALTIME, &time) < 0 ? -errno : 0;
}

static int64_t nanoseconds_of(clockid_t clock) {
    struct timespec time = {0};
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t clinux_boot_time_nanoseconds(void) { return nanoseconds_of(CLOCK_BOOTTIME); }
int64_t clinux_real_time_nanoseconds(void) { return nanoseconds_of(CLOCK_REALTIME); }

int clinux_signal_descriptor(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error) return -error;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int clinux_peek_ended_child(void) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return -errno;
    return info.si_pid;
}

int clinux_discard_child(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) < 0 ? -errno : 0;
}

int clinux_accept(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return -errno;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // Only latency is at stake.
    return fd;
}

int clinux_listen_on_loopback(uint16_t port, int backlog, uint16_t *bound) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, backlog) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
        *bound = ntohs(address.sin_port);
        return fd;
    }
    int error = errno;
    close(fd);
    return -error;
}
