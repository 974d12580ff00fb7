internal import CLinux
internal import Glibc

/// The whole machine, for its first process.
package enum Machine {
    /// Since the kernel started its clocks, time asleep included.
    package static var timeSinceBoot: Duration { .nanoseconds(clinux_boot_time_nanoseconds()) }

    package static var unixNanoseconds: Int64 { clinux_real_time_nanoseconds() }

    package static func setClock(unixNanoseconds: Int64) throws(SyscallError) {
        let (seconds, nanoseconds) = unixNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        guard nanoseconds >= 0 else { throw SyscallError(.invalidArgument, call: "clock_settime") }
        try checked("clock_settime", clinux_set_clock(seconds, nanoseconds))
    }

    package static func setHostName(_ name: String) throws(SyscallError) {
        // SAFETY: the kernel copies the bytes before the call returns.
        try retrying("sethostname", on: name) { unsafe sethostname(name, name.utf8.count) }
    }

    package static var processors: Int { max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1) }

    package static var memoryTotal: UInt64 {
        var info = sysinfo()
        // SAFETY: sysinfo fills the structure it is given.
        guard unsafe sysinfo(&info) == 0 else { return 0 }
        return UInt64(info.totalram) * UInt64(info.mem_unit)
    }

    /// Of this process.
    package static var residentMemory: UInt64 {
        // Without /proc there is no answer.
        let text = (try? FileSystem.readText("/proc/self/statm")) ?? ""
        let fields = text.split(separator: " ")
        guard fields.count > 1, let pages = UInt64(fields[1]) else { return 0 }
        return pages &* UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Lets this process open as many files as the kernel allows one to.
    package static func raiseOpenFileLimit() throws(SyscallError) {
        let most = rlim_t(1 << 20)
        var limit = rlimit(rlim_cur: most, rlim_max: most)
        // SAFETY: the kernel copies the structure before the call returns.
        try retrying("setrlimit") { unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) }
    }

    /// Stops this thread, at boot, where there is nothing else to do.
    package static func sleep(_ time: Duration) {
        usleep(UInt32(clamping: time.components.attoseconds / 1_000_000_000_000))
    }

    package static var mayChangeUsers: Bool { geteuid() == 0 }

    package static var isFirstProcess: Bool { getpid() == 1 }

    /// A signal that is written to a closed pipe or socket must not end the process.
    package static func ignoreBrokenPipes() {
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// Kills every other process, writes out what is cached, and resets the machine. There is no way back.
    package static func reset() -> Never {
        kill(-1, SIGKILL)
        sync()
        while true {
            reboot(Int32(RB_AUTOBOOT))
            // Only without the right to do it, which the first process has.
            pause()
        }
    }
}
