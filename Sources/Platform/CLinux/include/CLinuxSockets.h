// Unix sockets with a name, and messages with a descriptor. Part of the module CLinux. (sockets.c)
#pragma once

#include <stddef.h>

/// A listening stream socket at a path, mode 0600; non-blocking. The path must not exist.
int clinux_listen_unix(const char *path, int backlog);
/// `accept4` with close-on-exec and non-blocking.
int clinux_accept_unix(int listener);
/// As `clinux_connect_unix`, and -EAGAIN where the listener's queue is full.
int clinux_connect_unix_at_once(const char *path);
/// Who is at the other end of a connected Unix socket, as it was when they connected: the effective user id.
int clinux_peer_user(int socket, unsigned *uid);

/// Sends one message, with a descriptor unless that is -1. Does not wait.
int clinux_send_message(int socket, const void *bytes, size_t count, int descriptor);
/// Receives one message; 0 at the end. Stores the descriptor that it carries, or -1. Does not wait.
int clinux_receive_message(int socket, void *bytes, size_t count, int *descriptor);
