internal import CLinux
internal import Glibc

/// A file descriptor that closes when its owner goes.
///
/// Passing one says `consuming` (the callee closes it) or `borrowing` (the caller does).
package struct OwnedFD: ~Copyable, Sendable {
    package let rawValue: Int32

    /// Takes over an open descriptor.
    package init(adopting rawValue: Int32) {
        precondition(rawValue >= 0, "an owned descriptor is open")
        self.rawValue = rawValue
    }

    deinit {
        // A failing close cannot be repeated on Linux: the descriptor is gone either way.
        _ = close(rawValue)
    }

    /// Gives up ownership: the caller closes the number it gets.
    package consuming func relinquish() -> Int32 {
        let value = rawValue
        discard self
        return value
    }

    package func duplicate() throws(SyscallError) -> OwnedFD {
        OwnedFD(adopting: try checked("fcntl(F_DUPFD_CLOEXEC)", clinux_fcntl(rawValue, F_DUPFD_CLOEXEC, 3)))
    }

    package func setNonBlocking() throws(SyscallError) {
        let flags = try checked("fcntl(F_GETFL)", clinux_fcntl(rawValue, F_GETFL, 0))
        try checked("fcntl(F_SETFL)", clinux_fcntl(rawValue, F_SETFL, Int(flags | O_NONBLOCK)))
    }

    package func setBlocking() throws(SyscallError) {
        let flags = try checked("fcntl(F_GETFL)", clinux_fcntl(rawValue, F_GETFL, 0))
        try checked("fcntl(F_SETFL)", clinux_fcntl(rawValue, F_SETFL, Int(flags & ~O_NONBLOCK)))
    }

    // MARK: Transfer

    package enum ReadOutcome: Equatable {
        case bytes([UInt8])
        case endOfFile
        case wouldBlock
    }

    /// Reads once, at most `count` bytes.
    package func read(upTo count: Int) throws(SyscallError) -> ReadOutcome {
        var transferred = 0
        var failure: Errno?
        // SAFETY: read(2) writes at most `count` bytes into a buffer of that capacity, and exactly the count it returns
        // is declared initialized.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            repeat {
                transferred = unsafe Glibc.read(rawValue, buffer.baseAddress, count)
                failure = transferred < 0 ? currentErrno() : nil
            } while failure == .interrupted
            initialized = max(transferred, 0)
        }
        if let failure {
            if failure == .again { return .wouldBlock }
            throw SyscallError(failure, call: "read")
        }
        return transferred == 0 && count > 0 ? .endOfFile : .bytes(bytes)
    }

    /// Reads to the end, at most `limit` bytes; a longer file throws `EFBIG`.
    package func readAll(limit: Int) throws(SyscallError) -> [UInt8] {
        var result: [UInt8] = []
        while true {
            switch try read(upTo: 65536) {
            case .bytes(let chunk):
                result += chunk
                if result.count > limit { throw SyscallError(Errno(rawValue: EFBIG), call: "read") }
            case .endOfFile: return result
            case .wouldBlock: throw SyscallError(.again, call: "read")
            }
        }
    }

    package enum WriteOutcome: Equatable {
        case wrote(Int)
        case wouldBlock
    }

    /// Writes once. A partial write is normal. A broken pipe throws `EPIPE`: `SIGPIPE` is ignored by our programs.
    package func write(_ bytes: ArraySlice<UInt8>) throws(SyscallError) -> WriteOutcome {
        if bytes.isEmpty { return .wrote(0) }
        do throws(SyscallError) {
            let count = try retrying("write") {
                // SAFETY: the pointer is used inside the closure only and its count is passed.
                unsafe bytes.withUnsafeBytes { unsafe Glibc.write(rawValue, $0.baseAddress, $0.count) }
            }
            return .wrote(count)
        } catch {
            if error.errno == .again { return .wouldBlock }
            throw error
        }
    }

    /// Writes everything to a blocking descriptor.
    package func writeAll(_ bytes: some Collection<UInt8>) throws(SyscallError) {
        var rest = ArraySlice(bytes)
        while !rest.isEmpty {
            switch try write(rest) {
            case .wrote(let count): rest = rest.dropFirst(count)
            case .wouldBlock: throw SyscallError(.again, call: "write")
            }
        }
    }

    package func writeAll(_ text: String) throws(SyscallError) {
        try writeAll(Array(text.utf8))
    }
}

/// Pairs and anonymous files.
extension OwnedFD {
    package struct Pair: ~Copyable {
        package var first: OwnedFD
        package var second: OwnedFD

        /// Gives up ownership of both: the caller closes the numbers it gets.
        package consuming func relinquish() -> (first: Int32, second: Int32) {
            (first.relinquish(), second.relinquish())
        }

        /// Keeps the first and closes the second, which another process has by now.
        package consuming func keepFirst() -> OwnedFD {
            first
        }
    }

    /// A connected pair of Unix stream sockets, close-on-exec.
    package static func socketPair(nonBlocking: Bool = false) throws(SyscallError) -> Pair {
        var descriptors: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        // SAFETY: socketpair fills exactly two descriptors.
        try retrying("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &descriptors) }
        let pair = Pair(first: OwnedFD(adopting: descriptors[0]), second: OwnedFD(adopting: descriptors[1]))
        if nonBlocking {
            try pair.first.setNonBlocking()
            try pair.second.setNonBlocking()
        }
        return pair
    }

    /// A pipe, close-on-exec: `first` is the end to read, `second` the end to write.
    package static func pipe() throws(SyscallError) -> Pair {
        var descriptors: [Int32] = [-1, -1]
        // SAFETY: pipe2 fills exactly two descriptors.
        try checked("pipe2", unsafe clinux_pipe(&descriptors))
        return Pair(first: OwnedFD(adopting: descriptors[0]), second: OwnedFD(adopting: descriptors[1]))
    }

    /// An anonymous file in memory: it has no name in any file system and goes with its last descriptor.
    package static func memoryFile(named name: String, contents: [UInt8] = []) throws(SyscallError) -> OwnedFD {
        // SAFETY: the string is copied by the kernel before the call returns.
        let file = OwnedFD(adopting: try checked("memfd_create", on: name, unsafe clinux_memfd_create(name)))
        try file.writeAll(contents)
        return file
    }

    /// Opens a path with `open(2)` flags; close-on-exec is always set.
    package static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0) throws(SyscallError) -> OwnedFD {
        // SAFETY: the string is copied by the kernel before the call returns.
        let result = unsafe clinux_openat(AT_FDCWD, path, flags | O_CLOEXEC, mode)
        return OwnedFD(adopting: try checked("open", on: path, result))
    }
}

/// Descriptors that this process was started with and never closes.
package enum StandardStream {
    /// From now on the descriptor of that number is a duplicate of this one.
    package static func replace(_ descriptor: Int32, by other: borrowing OwnedFD) throws(SyscallError) {
        try retrying("dup2") { dup2(other.rawValue, descriptor) }
    }

    /// Writes everything, waiting for a slow reader.
    package static func write(_ bytes: [UInt8], to descriptor: Int32) throws(SyscallError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try retrying("write") {
                // SAFETY: the pointer is used inside the closure only and its count is passed.
                unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Waits for bytes; nil at the end, and once the bell rings: what comes then is left to others.
    package static func read(from descriptor: Int32, until bell: borrowing Doorbell) throws(SyscallError) -> [UInt8]? {
        var entries = [
            pollfd(fd: bell.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        // SAFETY: two entries are passed and filled.
        try retrying("poll") { unsafe poll(&entries, 2, -1) }
        if entries[0].revents != 0 { return nil }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = try retrying("read") {
            // SAFETY: read(2) writes at most the count it is given.
            unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        }
        return count == 0 ? nil : Array(buffer.prefix(count))
    }
}

/// Sockets with a name.
extension OwnedFD {
    /// Connects to a Unix stream socket; nil where nobody listens (yet).
    package static func connected(toUnixSocket path: String) throws(SyscallError) -> OwnedFD? {
        // SAFETY: the string is read before the call returns.
        let descriptor = unsafe clinux_connect_unix(path)
        if [-ENOENT, -ECONNREFUSED].contains(descriptor) { return nil }
        return OwnedFD(adopting: try checked("connect", on: path, descriptor))
    }
}

extension OwnedFD {
    /// Lends a descriptor that somebody else owns for the length of a call.
    package static func borrowing<Result>(
        _ rawValue: Int32,
        _ body: (borrowing OwnedFD) throws(SyscallError) -> Result,
    ) throws(SyscallError) -> Result {
        let lent = OwnedFD(adopting: rawValue)
        do throws(SyscallError) {
            let result = try body(lent)
            _ = lent.relinquish()
            return result
        } catch {
            _ = lent.relinquish()
            throw error
        }
    }
}
