// What a process gives up: privileges, namespaces, mounts, file access, system calls. Part of the module CLinux. (confinement.c)
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

// prctl(2) is variadic.
int clinux_set_no_new_privs(void);
int clinux_set_dumpable(int dumpable);
int clinux_get_dumpable(void);
int clinux_set_parent_death_signal(int signal);
int clinux_get_parent_death_signal(void);

/// Empties the bounding set and takes user 0's special treatment away, for good: no program this thread executes gets a
/// capability. EPERM without the right to do so.
int clinux_lock_capabilities(void);
/// Empties the permitted, effective, inheritable and ambient sets of this thread.
int clinux_empty_capabilities(void);
/// Effective capabilities of this thread, as bits.
int clinux_get_capabilities(uint64_t *effective);
/// Leaves all supplementary groups and becomes the user and the group for good.
int clinux_become(uint32_t uid, uint32_t gid);

int clinux_unshare(int flags);
int clinux_pivot_root(const char *new_root, const char *old_root);
/// Makes `target` a second name of the open file `fd`, close-on-exec.
int clinux_replace_descriptor(int fd, int target);
/// A private copy of the mounts from the directory `fd` on, attached nowhere: its root has no parent.
int clinux_clone_mount_tree(int fd);
/// Adds attributes (MOUNT_ATTR_*) to all mounts of a tree.
int clinux_restrict_mount_tree(int fd, uint64_t attributes);

/// The kernel's Landlock ABI, from 1 on.
int clinux_landlock_abi(void);
/// A ruleset; `size` is how much of the attributes the ABI knows.
struct clinux_landlock_ruleset {
    uint64_t file_rights;
    uint64_t network_rights;
    uint64_t scopes;
};
int clinux_landlock_create(const struct clinux_landlock_ruleset *ruleset, size_t size);
int clinux_landlock_allow_beneath(int ruleset, int directory, uint64_t rights);
int clinux_landlock_restrict_self(int ruleset);

/// Installs a filter on this thread.
int clinux_seccomp_install(const struct sock_filter *instructions, uint16_t count);
