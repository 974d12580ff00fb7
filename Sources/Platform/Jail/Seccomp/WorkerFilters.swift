internal import LinuxSystem

/// The filters of a virtual machine's worker, one for each kind of thread.
///
/// A thread's filters add up to the strictest, and a new thread inherits those of the one that starts it. So the jail puts
/// `starting` on, which holds all the others; then the threads are started, and each narrows itself to its own kind as the
/// first thing it does, the main thread last.
package struct WorkerFilters: Sendable {
    /// As the worker itself sees its number.
    package var processID: UInt32
    /// `ioctl(2)` requests of the threads that run virtual processors: `KVM_RUN` and what goes with it.
    package var vcpuRequests: [UInt32] = []
    /// `ioctl(2)` requests of the threads that serve devices: interrupts.
    package var deviceRequests: [UInt32] = []
    /// `ioctl(2)` requests of the main thread, until it is narrowed: to make devices known to the machine.
    package var startingRequests: [UInt32] = []
    /// Whether there is a thread for shared directories. Without one no thread names a file.
    package var servesShares = false
    /// Whether there is a thread for the guest's stream sockets. Without one no thread gets a new descriptor from outside.
    package var servesVsock = false

    package init(processID: Int32 = HostFacts.processID) {
        self.processID = UInt32(bitPattern: processID)
    }

    /// Runs a virtual processor: enters the guest, and tells device threads by writing to event descriptors.
    package var vcpuThread: SeccompFilter {
        var filter = runtime
        filter.allowRequests(vcpuRequests)
        return filter
    }

    /// Serves devices from an event loop: disks, sockets and terminals that are open already.
    package var deviceThread: SeccompFilter {
        var filter = runtime
        filter.allowRequests(deviceRequests)
        filter.allowEvents()
        filter.allowFiles()
        filter.allowSockets()
        return filter
    }

    /// Serves shared directories too: names below their descriptors, which the jail's other layers keep it below.
    package var shareThread: SeccompFilter {
        var filter = deviceThread
        filter.allowDirectories()
        return filter
    }

    /// Serves stream sockets too: takes connections, and descriptors of those that the parent opens for it.
    package var vsockThread: SeccompFilter {
        var filter = deviceThread
        filter.allow(.accept4, .recvmsg)
        return filter
    }

    /// Waits for commands and for the other threads.
    package var mainThread: SeccompFilter {
        var filter = runtime
        filter.allowEvents()
        filter.allowSockets()
        return filter
    }

    /// What the jail puts on first: all of the above, and to start and to narrow threads.
    package var starting: SeccompFilter {
        var filter = vcpuThread
        filter.formUnion(servesShares ? shareThread : deviceThread)
        if servesVsock { filter.formUnion(vsockThread) }
        filter.formUnion(mainThread)
        filter.allowRequests(startingRequests)
        filter.allowThreads()
        return filter
    }

    /// What the C library and the Swift runtime do on their own: memory, locks, signals, clocks, and ending.
    private var runtime: SeccompFilter {
        var filter = SeccompFilter()
        // Event descriptors, pipes and the log.
        filter.allow(.read, .write, .readv, .writev, .close, .fstat)
        // fstat(3) is this call in the C library.
        filter.allow(.newfstatat, where: .argument(3, masked: Flag.atEmptyPath, equals: Flag.atEmptyPath))

        filter.allow(.munmap, .mremap, .madvise, .brk)
        // No new code, and none that is changed.
        filter.allow(.mmap, where: .argument(2, masked: Flag.protExec, equals: 0))
        filter.allow(.mprotect, where: .argument(2, masked: Flag.protExec, equals: 0))

        filter.allow(.futex, .sched_yield, .rseq, .set_robust_list, .restart_syscall)
        filter.allow(.rt_sigprocmask, .rt_sigreturn, .rt_sigaction, .sigaltstack)
        filter.allow(.getpid, .gettid, .getcpu, .sched_getaffinity, .sysinfo)
        filter.allow(.clock_gettime, .clock_getres, .clock_nanosleep, .nanosleep, .gettimeofday, .getrandom)
        filter.allow(.exit, .exit_group)
        // abort(3), and waking a thread out of the guest.
        filter.allow(.tgkill, where: .argument(0, equals: processID))
        filter.allow(.prctl, where: .argument(0, equals: Flag.setName))
        // getrlimit(2) of this process, where a thread asks for the size of its stack.
        filter.allow(.prlimit64, where: .argument(0, equals: 0), .wideArgument(2, equals: 0))
        // The allocator asks for the number of processors in /sys, and does without.
        filter.refuse(.open, .openat, with: .notFound)
        return filter
    }
}

/// Constants of the C headers that conditions compare with.
private enum Flag {
    static let protExec: UInt32 = 4
    static let setName: UInt32 = 15
    static let atEmptyPath: UInt32 = 0x1000
    static let solSocket: UInt32 = 1
    /// `fcntl(2)`: F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC.
    static let descriptorCommands: [UInt32] = [1, 2, 3, 4, 1030]
    /// `fcntl(2)`: F_GETLK, F_SETLK, F_SETLKW and the same of open files.
    static let lockCommands: [UInt32] = [5, 6, 7, 36, 37, 38]
    /// The flags of `pthread_create(3)`: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID. A
    /// process, or a namespace, has others.
    static let threadFlags: UInt32 = 0x003D_0F00
    static let seccompSetModeFilter: UInt32 = 1
}

extension SeccompFilter {
    package mutating func allowRequests(_ requests: [UInt32]) {
        for request in requests { allow(.ioctl, where: .argument(1, equals: request)) }
    }

    fileprivate mutating func allowEvents() {
        allow(.epoll_create1, .epoll_ctl, .epoll_wait, .epoll_pwait, .epoll_pwait2, .poll, .ppoll)
        allow(.eventfd2, .timerfd_create, .timerfd_settime)
    }

    /// Files that are open.
    fileprivate mutating func allowFiles() {
        allow(.pread64, .pwrite64, .preadv, .pwritev, .preadv2, .pwritev2, .lseek)
        allow(.fsync, .fdatasync, .sync_file_range, .fallocate, .ftruncate, .fstatfs)
        for command in Flag.descriptorCommands { allow(.fcntl, where: .argument(1, equals: command)) }
    }

    /// Sockets that are connected. No message carries a descriptor.
    fileprivate mutating func allowSockets() {
        allow(.recvfrom, .shutdown)
        // Without an address to send to.
        allow(.sendto, where: .wideArgument(4, equals: 0))
        allow(.getsockopt, where: .argument(1, equals: Flag.solSocket))
        for command in Flag.descriptorCommands { allow(.fcntl, where: .argument(1, equals: command)) }
    }

    /// Names below open directories.
    fileprivate mutating func allowDirectories() {
        allow(.getuid, .getgid, .geteuid, .getegid)
        allow(.openat, .openat2, .newfstatat, .statx, .getdents64, .readlinkat, .faccessat, .faccessat2)
        allow(.mkdirat, .mknodat, .unlinkat, .linkat, .symlinkat, .renameat, .renameat2, .umask)
        allow(.fchmod, .fchmodat, .fchown, .fchownat, .utimensat)
        allow(.fgetxattr, .fsetxattr, .flistxattr, .fremovexattr, .syncfs, .copy_file_range, .flock)
        for command in Flag.lockCommands { allow(.fcntl, where: .argument(1, equals: command)) }
    }

    fileprivate mutating func allowThreads() {
        // The arguments of clone3 lie in memory, where a filter cannot judge them; without it the C library uses clone.
        refuse(.clone3, with: .notImplemented)
        allow(.clone, where: .wideArgument(0, equals: UInt64(Flag.threadFlags)))
        allow(.seccomp, where: .argument(0, equals: Flag.seccompSetModeFilter), .argument(1, equals: 0))
    }
}
