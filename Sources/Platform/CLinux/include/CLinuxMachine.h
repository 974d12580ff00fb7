// What the first process of a machine needs: mounts, network interfaces, terminals, clocks. Part of the module CLinux.
#pragma once

#include <dirent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/stat.h>

// Interfaces, by ioctl: three calls configure a static address, where rtnetlink would need a message builder. (machine.c)
// Addresses are in network byte order.
int clinux_interface_up(int socket, const char *name);
int clinux_interface_set_address(int socket, const char *name, uint32_t address, uint32_t mask);
int clinux_add_default_route(int socket, uint32_t gateway);

/// Opens a new pseudo-terminal: the manager's end is returned, the terminal's end is stored.
int clinux_open_terminal(int *terminal);

int clinux_set_clock(int64_t seconds, int64_t nanoseconds);
int64_t clinux_boot_time_nanoseconds(void);
int64_t clinux_real_time_nanoseconds(void);

/// Blocks a signal in this thread and returns a non-blocking signalfd for it.
int clinux_signal_descriptor(int signal);

/// The pid of a child that has ended, which stays waitable; 0: none, -errno: failure (ECHILD without any child).
int clinux_peek_ended_child(void);
/// Reaps one ended child by pid. Only for orphans: their status is of no interest.
int clinux_discard_child(pid_t pid);

/// `accept4` with close-on-exec and non-blocking.
int clinux_accept(int listener);
/// A non-blocking TCP socket that listens on 127.0.0.1 (port in host byte order, 0: any); stores the port it got.
int clinux_listen_on_loopback(uint16_t port, int backlog, uint16_t *bound);
