#define _GNU_SOURCE
#include "CLinux.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>

// Newer than the C library's headers of the oldest system we build on.
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

int clinux_set_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0; }

int clinux_set_dumpable(int dumpable) { return prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) < 0 ? -errno : 0; }

int clinux_get_dumpable(void) {
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    return dumpable < 0 ? -errno : dumpable;
}

int clinux_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal) < 0 ? -errno : 0; }

int clinux_get_parent_death_signal(void) {
    int signal = 0;
    return prctl(PR_GET_PDEATHSIG, &signal) < 0 ? -errno : signal;
}

static int set_capabilities(uint64_t bits) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)bits, .permitted = (uint32_t)bits},
        {.effective = (uint32_t)(bits >> 32), .permitted = (uint32_t)(bits >> 32)},
    };
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int clinux_get_capabilities(uint64_t *effective) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -errno;
    *effective = (uint64_t)data[1].effective << 32 | data[0].effective;
    return 0;
}

int clinux_lock_capabilities(void) {
    for (int capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) break;  // One past the last that this kernel knows.
        return -errno;
    }
    // User 0 gets nothing back by being user 0.
    unsigned bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? -errno : 0;
}

int clinux_empty_capabilities(void) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -errno;
    return set_capabilities(0);
}

int clinux_become(uint32_t uid, uint32_t gid) {
    if (setgroups(0, NULL) < 0) return -errno;
    if (setresgid(gid, gid, gid) < 0) return -errno;
    return setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

int clinux_unshare(int flags) { return unshare(flags) < 0 ? -errno : 0; }

int clinux_pivot_root(const char *new_root, const char *old_root) {
    return syscall(SYS_pivot_root, new_root, old_root) < 0 ? -errno : 0;
}

int clinux_replace_descriptor(int fd, int target) { return dup3(fd, target, O_CLOEXEC) < 0 ? -errno : 0; }

int clinux_clone_mount_tree(int fd) {
    unsigned flags = 1u /* OPEN_TREE_CLONE */ | O_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    long tree = syscall(SYS_open_tree, fd, "", flags);
    return tree < 0 ? -errno : (int)tree;
}

int clinux_restrict_mount_tree(int fd, uint64_t attributes) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } change = {.set = attributes};
    _Static_assert(sizeof change == 32, "struct mount_attr, version 0");
    long result = syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change);
    return result < 0 ? -errno : 0;
}

int clinux_landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);
    return abi < 0 ? -errno : (int)abi;
}

int clinux_landlock_create(const struct clinux_landlock_ruleset *ruleset, size_t size) {
    _Static_assert(sizeof *ruleset == 24, "struct landlock_ruleset_attr of ABI 6");
    long fd = syscall(SYS_landlock_create_ruleset, ruleset, size, 0);
    return fd < 0 ? -errno : (int)fd;
}

int clinux_landlock_allow_beneath(int ruleset, int directory, uint64_t rights) {
    struct {
        uint64_t rights;
        int32_t directory;
    } __attribute__((packed)) rule = {.rights = rights, .directory = directory};
    _Static_assert(sizeof rule == 12, "struct landlock_path_beneath_attr is packed");
    return syscall(SYS_landlock_add_rule, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0) < 0 ? -errno : 0;
}

int clinux_landlock_restrict_self(int ruleset) {
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

int clinux_seccomp_install(const struct sock_filter *instructions, uint16_t count) {
    struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)instructions};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
