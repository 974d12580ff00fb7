internal import CLinux
internal import Glibc

/// Facts about the machine this process runs on.
package enum HostFacts {
    package static var userID: UInt32 { getuid() }
    package static var processID: Int32 { getpid() }

    /// Whether the file exists and this process may open it for reading and writing.
    package static func mayReadAndWrite(_ path: String) -> Bool {
        // SAFETY: the string is copied by the kernel before the call returns.
        unsafe access(path, R_OK | W_OK) == 0
    }

    package static func mayRead(_ path: String) -> Bool {
        // SAFETY: as above.
        unsafe access(path, R_OK) == 0
    }

    package static func mayExecute(_ path: String) -> Bool {
        // SAFETY: as above.
        unsafe access(path, X_OK) == 0
    }

    package static func exists(_ path: String) -> Bool {
        // SAFETY: as above.
        unsafe access(path, F_OK) == 0
    }

    /// The directory of this process's program.
    package static var programDirectory: String? {
        var bytes = [CChar](repeating: 0, count: 4096)
        // SAFETY: readlink writes at most the count it is given, which is the array's.
        let count = unsafe readlink("/proc/self/exe", &bytes, bytes.count)
        guard count > 0 else { return nil }
        let path = String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.lastIndex(of: "/").map { String(path[..<$0]) }
    }

    /// A small text file such as those below `/proc`; nil where it cannot be read.
    package static func text(of path: String, limit: Int = 1 << 20) -> String? {
        do throws(SyscallError) {
            let file = try OwnedFD.open(path, O_RDONLY)
            return String(decoding: try file.readAll(limit: limit), as: UTF8.self)
        } catch {
            return nil
        }
    }

    /// Whether the processor offers hardware virtualization. A usable `/dev/kvm` without it is an emulation.
    package static var hasHardwareVirtualization: Bool {
        guard let information = text(of: "/proc/cpuinfo") else { return false }
        let flags = information.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
        return flags.split(separator: " ").contains { $0 == "vmx" || $0 == "svm" }
    }

    /// Now, on the wall clock.
    package static var unixNanoseconds: Int64 {
        var now = timespec()
        // SAFETY: clock_gettime fills the structure it is given; CLOCK_REALTIME always exists.
        _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    /// The process numbers below `/proc`.
    package static func processes() -> [Int32] {
        guard let directory = unsafe opendir("/proc") else { return [] }
        defer { _ = unsafe closedir(directory) }
        var found: [Int32] = []
        // SAFETY: the entry is valid until the next readdir on this stream, and its name is terminated.
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if let pid = Int32(name) { found.append(pid) }
        }
        return found.sorted()
    }
}

/// Numbers of signals, `signal(7)`.
package enum Signal {
    package static let interrupt = SIGINT
    package static let kill = SIGKILL
    package static let terminate = SIGTERM
    package static let hangUp = SIGHUP
    package static let user1 = SIGUSR1
}

/// Flags of `open(2)`.
extension OwnedFD {
    package static let readOnly = O_RDONLY
    package static let readWrite = O_RDWR
}
