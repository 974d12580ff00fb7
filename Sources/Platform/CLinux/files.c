#define _GNU_SOURCE
#include "CLinux.h"

int clinux_set_lock(int fd, int type, int64_t start, int64_t length) {
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

int clinux_get_lock(int fd, int *type, int64_t *start, int64_t *length) {
    struct flock lock = {.l_type = (short)*type, .l_whence = SEEK_SET, .l_start = *start, .l_len = *length};
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0) return -errno;
    *type = lock.l_type;
    *start = lock.l_start;
    *length = lock.l_len;
    return 0;
}

int64_t clinux_getdents(int fd, void *buffer, size_t size) {
    long count = syscall(SYS_getdents64, fd, buffer, size);
    return count < 0 ? -errno : count;
}

int64_t clinux_pwritev2(int fd, const struct iovec *pieces, int count, int64_t offset, int flags) {
    ssize_t written = pwritev2(fd, pieces, count, offset, flags);
    return written < 0 ? -errno : written;
}

int64_t clinux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t count) {
    off64_t source = from_offset, target = to_offset;
    ssize_t copied = copy_file_range(from, &source, to, &target, count, 0);
    return copied < 0 ? -errno : copied;
}

int clinux_fallocate(int fd, int mode, int64_t offset, int64_t length) {
    return fallocate(fd, mode, offset, length) < 0 ? -errno : 0;
}

int clinux_syncfs(int fd) {
    return syncfs(fd) < 0 ? -errno : 0;
}

int clinux_set_times(int fd, const struct timespec times[2]) {
    return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}
