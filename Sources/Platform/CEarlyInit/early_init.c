#include "CEarlyInit.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

void cearlyinit_link(void) {}

// Priority 101 is the earliest that a program may use; Swift's own constructors have none.
__attribute__((constructor(101))) static void mount_proc(void) {
    if (getpid() != 1) return;
    mkdir("/proc", 0555);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, 0);
}
