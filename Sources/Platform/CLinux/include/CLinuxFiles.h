// What a file server needs beyond POSIX. Part of the module CLinux.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <sys/xattr.h>

// Record locks of an open file description, fcntl(2). `type` is F_RDLCK, F_WRLCK or F_UNLCK; a length of 0 reaches to the end
// of any file. Neither waits.
int clinux_set_lock(int fd, int type, int64_t start, int64_t length);
/// Stores the first lock in the way of the one given, or F_UNLCK as its type.
int clinux_get_lock(int fd, int *type, int64_t *start, int64_t *length);

int64_t clinux_getdents(int fd, void *buffer, size_t size);
/// `flags` are RWF_.
int64_t clinux_pwritev2(int fd, const struct iovec *pieces, int count, int64_t offset, int flags);
int64_t clinux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t count);
int clinux_fallocate(int fd, int mode, int64_t offset, int64_t length);
int clinux_syncfs(int fd);
/// `utimensat` of the descriptor itself, which may be O_PATH.
int clinux_set_times(int fd, const struct timespec times[2]);
