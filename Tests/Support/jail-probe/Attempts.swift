import Glibc
import Jail
import LinuxSystem

/// What a worker in a guest's hands might try. Each answers "ok", the name of an error, or what it found.
enum Attempts {
    static var all: [String: () -> String] {
        [
            "open-passwd": { opening("/etc/passwd", O_RDONLY) },
            "open-proc": { opening("/proc/self/status", O_RDONLY) },
            "open-root": { opening("/", O_RDONLY) },
            "open-up": { opening("../../../../etc/passwd", O_RDONLY) },
            "create-in-root": { opening("/new", O_WRONLY | O_CREAT) },
            "stat-passwd": {
                var status = stat()
                return outcome(unsafe stat("/etc/passwd", &status))
            },
            "list-root": {
                guard let stream = unsafe opendir("/") else { return name(errno) }
                var names: [String] = []
                while let entry = unsafe readdir(stream) {
                    let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
                    }
                    if name != ".", name != ".." { names.append(name) }
                }
                return names.isEmpty ? "empty" : names.joined(separator: ",")
            },
            "execute": {
                var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("true"), nil]
                return outcome(unsafe execve("/bin/true", &arguments, nil))
            },
            "spawn": {
                var pid: pid_t = 0
                var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("true"), nil]
                let result = unsafe posix_spawn(&pid, "/bin/true", nil, nil, &arguments, nil)
                return result == 0 ? "ok" : name(result)
            },
            "connect-tcp": { connectingTCP() },
            "socket": { outcome(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)) },
            "connect-abstract": { connectingAbstract() },
            "interfaces": { interfaces() },
            "signal-parent": { outcome(kill(getppid(), 0)) },
            "map-code": { mapping(PROT_READ | PROT_WRITE | PROT_EXEC) },
            "map-data": { mapping(PROT_READ | PROT_WRITE) },
            "protect-code": {
                guard let page = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                else { return name(errno) }
                return outcome(unsafe mprotect(page, 4096, PROT_READ | PROT_EXEC))
            },
            "host-name": { outcome(unsafe sethostname("x", 1)) },
            "mount": { outcome(unsafe mount("x", "/", "tmpfs", 0, nil)) },
            "become-root": { outcome(setuid(0)) },
            "process": { String(getpid()) },
            "user": { String(getuid()) },
            "capabilities": {
                do throws(SyscallError) { return String(try ProcessRestrictions.capabilities()) } catch {
                    return "\(error)"
                }
            },
            "dumpable": { ProcessRestrictions.isDumpable ? "yes" : "no" },
            "parent-death-signal": {
                do throws(SyscallError) { return String(try ProcessRestrictions.parentDeathSignal()) } catch {
                    return "\(error)"
                }
            },
            "read-3": {
                var bytes = [UInt8](repeating: 0, count: 64)
                let count = unsafe read(3, &bytes, 64)
                return count < 0 ? name(errno) : String(decoding: bytes.prefix(count), as: UTF8.self)
            },
            "write-4": { outcome(unsafe write(4, "there", 5) == 5 ? 0 : -1) },
            "open-files": {
                var count = 0
                while dup(0) >= 0 { count += 1 }
                return "\(count) \(name(errno))"
            },
            "core-limit": {
                var limit = rlimit()
                _ = unsafe getrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &limit)
                return String(limit.rlim_max)
            },
            "thread": { threading() },
            "threads-until-refused": {
                var count = 0
                while count < 1000 {
                    do throws(SyscallError) {
                        try startThread(named: "waits") { pause() }
                    } catch {
                        return "\(count) \(name(error.errno.rawValue))"
                    }
                    count += 1
                }
                return "no limit"
            },
            "narrow": {
                // A thread's filter can forbid what the process's allows.
                var filter = SeccompFilter(defaultAction: .allow)
                filter.refuse(.getpid, with: Errno(rawValue: EUCLEAN))
                do throws(JailError) { try Jail.installSeccomp(filter) } catch { return "\(error)" }
                // Without an errno: the C library does not expect it to fail.
                return getpid() < 0 ? name(-getpid()) : "ok"
            },
            "share-read": {
                beneath(3) { directory throws(SyscallError) in
                    String(decoding: try directory.read("file"), as: UTF8.self)
                }
            },
            "share-create": {
                beneath(3) { directory throws(SyscallError) in
                    _ = try directory.create("new", mode: 0o600)
                    return "ok"
                }
            },
            "share-up": { openingAt(3, "../secret", O_RDONLY) },
            "share-up-path": { openingAt(3, "..", 0o10_000_000) },
            "share-far-up": { openingAt(3, "../../../../../../etc/passwd", O_RDONLY) },
            "share-chmod-up": { outcome(unsafe fchmodat(3, "../secret", 0o777, 0)) },
            "share-link-out": { openingAt(3, "link", O_RDONLY) },
            "share-stat-up": {
                var inside = stat()
                var up = stat()
                _ = unsafe fstat(3, &inside)
                if unsafe fstatat(3, "..", &up, 0) < 0 { return name(errno) }
                return inside.st_ino == up.st_ino ? "itself" : "above"
            },
        ]
    }

    private static func outcome(_ result: Int32) -> String { result < 0 ? name(errno) : "ok" }

    private static func name(_ error: Int32) -> String {
        let names = [
            EPERM: "EPERM", ENOENT: "ENOENT", EACCES: "EACCES", EROFS: "EROFS", EAGAIN: "EAGAIN", EMFILE: "EMFILE",
            ECONNREFUSED: "ECONNREFUSED", ENETUNREACH: "ENETUNREACH", ESRCH: "ESRCH", EUCLEAN: "EUCLEAN",
            EXDEV: "EXDEV",
        ]
        return names[error] ?? "errno \(error)"
    }

    private static func opening(_ path: String, _ flags: Int32) -> String {
        outcome(unsafe Glibc.open(path, flags, 0o600))
    }

    private static func openingAt(_ directory: Int32, _ path: String, _ flags: Int32) -> String {
        outcome(unsafe openat(directory, path, flags))
    }

    private static func mapping(_ protection: Int32) -> String {
        unsafe mmap(nil, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? name(errno) : "ok"
    }

    private static func beneath(
        _ descriptor: Int32,
        _ body: (borrowing Directory) throws(SyscallError) -> String,
    ) -> String {
        do throws(SyscallError) {
            let mine = OwnedFD(adopting: descriptor)
            let copy = Result { () throws(SyscallError) in try mine.duplicate().relinquish() }
            _ = mine.relinquish()
            return try body(Directory(adopting: OwnedFD(adopting: try copy.get())))
        } catch {
            return name(error.errno.rawValue)
        }
    }

    private static func connectingTCP() -> String {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if descriptor < 0 { return name(errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(9).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        return unsafe withUnsafePointer(to: address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                outcome(unsafe connect(descriptor, $0, size))
            }
        }
    }

    /// To a socket that the test listens on.
    private static func connectingAbstract() -> String {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        if descriptor < 0 { return name(errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let text = Array("voidbox-jail-test-\(getppid())".utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0[1...].copyBytes(from: text) }
        let size = socklen_t(2 + 1 + text.count)
        return unsafe withUnsafePointer(to: address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                outcome(unsafe connect(descriptor, $0, size))
            }
        }
    }

    private static func interfaces() -> String {
        var list: UnsafeMutablePointer<ifaddrs>?
        if unsafe getifaddrs(&list) < 0 { return name(errno) }
        var found: Set<String> = []
        var next = unsafe list
        while let entry = unsafe next {
            let up = unsafe entry.pointee.ifa_flags & UInt32(IFF_UP) != 0
            found.insert(unsafe String(cString: entry.pointee.ifa_name) + (up ? " up" : " down"))
            unsafe next = entry.pointee.ifa_next
        }
        return found.sorted().joined(separator: ",")
    }

    /// Made before the jail is on.
    static let pipe: (first: Int32, second: Int32) = {
        do throws(SyscallError) { return try OwnedFD.pipe().relinquish() } catch { return (-1, -1) }
    }()

    /// Starts a thread and waits for it.
    private static func threading() -> String {
        do throws(SyscallError) {
            let pipe = Self.pipe
            try startThread(named: "probe") { _ = unsafe Glibc.write(pipe.second, "x", 1) }
            var byte: UInt8 = 0
            return outcome(unsafe read(pipe.first, &byte, 1) == 1 ? 0 : -1)
        } catch {
            return "\(error)"
        }
    }
}
