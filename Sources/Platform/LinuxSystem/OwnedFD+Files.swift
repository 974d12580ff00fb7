internal import CLinux
internal import Glibc

/// Turns a shim's count or `-errno` into a count or an error; repeats while a signal interrupts.
private func counting(_ call: StaticString, _ body: () -> Int64) throws(SyscallError) -> Int {
    while true {
        let result = body()
        if result == -Int64(EINTR) { continue }
        if result < 0 { throw SyscallError(Errno(rawValue: Int32(truncatingIfNeeded: -result)), call: call) }
        return Int(result)
    }
}

/// How one write behaves, beyond what the descriptor says: `RWF_` of `pwritev2(2)`.
package struct WriteMode: OptionSet, Hashable, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    package static let dataSync = WriteMode(rawValue: 2)
    package static let sync = WriteMode(rawValue: 4)
    /// At the end of the file, wherever that is by now; the offset is ignored.
    package static let append = WriteMode(rawValue: 16)
}

/// Data.
extension OwnedFD {
    /// Reads once at an offset, without moving the position; less than `count` at the end of the file.
    package func read(at offset: UInt64, count: Int) throws(SyscallError) -> [UInt8] {
        guard let offset = Int(exactly: offset) else { throw SyscallError(.invalidArgument, call: "pread") }
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try retrying("pread") {
            // SAFETY: pread writes at most the count it is given, which is the buffer's.
            unsafe bytes.withUnsafeMutableBytes { unsafe pread(rawValue, $0.baseAddress, $0.count, offset) }
        }
        bytes.removeLast(count - got)
        return bytes
    }

    /// Writes once at an offset, without moving the position. A partial write is normal.
    package func write(
        _ bytes: ArraySlice<UInt8>,
        at offset: UInt64,
        _ mode: WriteMode = [],
    ) throws(SyscallError) -> Int {
        guard let offset = Int64(exactly: offset) else { throw SyscallError(.invalidArgument, call: "pwritev2") }
        return try counting("pwritev2") {
            // SAFETY: the kernel only reads the bytes, inside the closure, and their count is passed.
            unsafe bytes.withUnsafeBytes { buffer in
                var piece = unsafe iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress),
                    iov_len: buffer.count,
                )
                return unsafe clinux_pwritev2(rawValue, &piece, 1, offset, mode.rawValue)
            }
        }
    }

    package func truncate(to size: UInt64) throws(SyscallError) {
        guard let size = Int(exactly: size) else { throw SyscallError(.fileTooLarge, call: "ftruncate") }
        try retrying("ftruncate") { ftruncate(rawValue, size) }
    }

    package struct AllocationMode: OptionSet, Sendable {
        package let rawValue: Int32

        package init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        package static let keepSize = AllocationMode(rawValue: 1)
        package static let punchHole = AllocationMode(rawValue: 2)
        package static let zeroRange = AllocationMode(rawValue: 16)
    }

    package func allocate(_ mode: AllocationMode, at offset: UInt64, count: UInt64) throws(SyscallError) {
        guard let offset = Int64(exactly: offset), let count = Int64(exactly: count) else {
            throw SyscallError(.fileTooLarge, call: "fallocate")
        }
        _ = try counting("fallocate") { Int64(clinux_fallocate(rawValue, mode.rawValue, offset, count)) }
    }

    package enum Extent: Int32, Sendable {
        case data = 3
        case hole = 4
    }

    /// Where the next data or hole begins, at or after an offset; `ENXIO` beyond the end. Moves the position.
    package func next(_ extent: Extent, from offset: UInt64) throws(SyscallError) -> UInt64 {
        guard let offset = Int(exactly: offset) else { throw SyscallError(.noSuchDeviceOrAddress, call: "lseek") }
        return UInt64(try retrying("lseek") { lseek(rawValue, offset, extent.rawValue) })
    }

    /// Copies within the kernel; a partial copy is normal.
    package func copy(
        from offset: UInt64,
        to target: borrowing OwnedFD,
        at targetOffset: UInt64,
        count: Int,
    ) throws(SyscallError) -> Int {
        guard let offset = Int64(exactly: offset), let targetOffset = Int64(exactly: targetOffset) else {
            throw SyscallError(.fileTooLarge, call: "copy_file_range")
        }
        let descriptor = target.rawValue
        return try counting("copy_file_range") {
            clinux_copy_file_range(rawValue, offset, descriptor, targetOffset, count)
        }
    }

    package func synchronize(dataOnly: Bool) throws(SyscallError) {
        try retrying("fsync") { dataOnly ? fdatasync(rawValue) : fsync(rawValue) }
    }

    /// Everything of the file system that the file is on.
    package func synchronizeFileSystem() throws(SyscallError) {
        try checked("syncfs", clinux_syncfs(rawValue))
    }

    /// The next entries of a directory as `getdents64(2)` lays them out; empty at the end.
    package func readEntries(capacity: Int) throws(SyscallError) -> [UInt8] {
        var failure: SyscallError?
        // SAFETY: the kernel writes at most the count it is given, which is the buffer's; what it wrote counts as initialized.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
            do throws(SyscallError) {
                initialized = try counting("getdents64") {
                    unsafe clinux_getdents(rawValue, buffer.baseAddress, buffer.count)
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }
}

/// Extended attributes, `xattr(7)`. Names are bytes; one that holds a zero byte ends there.
extension OwnedFD {
    /// The largest value and the longest list of names of any attribute, `XATTR_SIZE_MAX`.
    package static let maxAttributeSize = 65536

    private func terminated(_ name: [UInt8]) -> [CChar] {
        name.map { CChar(bitPattern: $0) } + [0]
    }

    package func extendedAttribute(_ name: [UInt8]) throws(SyscallError) -> [UInt8] {
        let name = terminated(name)
        var value = [UInt8](repeating: 0, count: Self.maxAttributeSize)
        let count = try retrying("fgetxattr") {
            // SAFETY: the kernel writes at most the count it is given and copies the name, which ends with a zero byte.
            unsafe value.withUnsafeMutableBytes { unsafe fgetxattr(rawValue, name, $0.baseAddress, $0.count) }
        }
        return Array(value.prefix(count))
    }

    /// Each name ends with a zero byte.
    package func extendedAttributeNames() throws(SyscallError) -> [UInt8] {
        var names = [CChar](repeating: 0, count: Self.maxAttributeSize)
        // SAFETY: the kernel writes at most the count it is given, which is the array's.
        let count = try retrying("flistxattr") { unsafe flistxattr(rawValue, &names, Self.maxAttributeSize) }
        return names.prefix(count).map { UInt8(bitPattern: $0) }
    }

    package enum AttributeChange: Int32, Sendable {
        case createOrReplace, create, replace
    }

    package func setExtendedAttribute(
        _ name: [UInt8],
        to value: [UInt8],
        _ change: AttributeChange,
    ) throws(SyscallError) {
        let name = terminated(name)
        // SAFETY: the kernel copies the name and the value, whose count is passed, before the call returns.
        try retrying("fsetxattr") { unsafe fsetxattr(rawValue, name, value, value.count, change.rawValue) }
    }

    package func removeExtendedAttribute(_ name: [UInt8]) throws(SyscallError) {
        let name = terminated(name)
        // SAFETY: the kernel copies the name before the call returns.
        try retrying("fremovexattr") { unsafe fremovexattr(rawValue, name) }
    }
}

/// A range of a file that one owner holds; see "Open file description locks" in `fcntl(2)`.
package struct RecordLock: Hashable, Sendable {
    package enum Kind: Int32, Sendable {
        case read = 0
        case write = 1
        case none = 2
    }

    package var kind: Kind
    package var start: Int64
    /// 0 reaches to the end of any file.
    package var length: Int64

    package init(_ kind: Kind, start: Int64, length: Int64) {
        self.kind = kind
        self.start = start
        self.length = length
    }
}

/// Locks of an open file description. None of the calls waits: a lock in the way is `EAGAIN`.
extension OwnedFD {
    package func setLock(_ lock: RecordLock) throws(SyscallError) {
        _ = try counting("fcntl(F_OFD_SETLK)") {
            Int64(clinux_set_lock(rawValue, lock.kind.rawValue, lock.start, lock.length))
        }
    }

    /// The first lock in the way of the one given, or one of the kind `none`.
    package func conflict(with lock: RecordLock) throws(SyscallError) -> RecordLock {
        var kind = lock.kind.rawValue
        var (start, length) = (lock.start, lock.length)
        // SAFETY: the shim reads and fills the three values it is given.
        try checked("fcntl(F_OFD_GETLK)", unsafe clinux_get_lock(rawValue, &kind, &start, &length))
        return RecordLock(RecordLock.Kind(rawValue: kind) ?? .none, start: start, length: length)
    }

    /// A lock of the whole file, `flock(2)`.
    package func setWholeFileLock(_ kind: RecordLock.Kind) throws(SyscallError) {
        let operation =
            switch kind {
            case .read: LOCK_SH
            case .write: LOCK_EX
            case .none: LOCK_UN
            }
        try retrying("flock") { flock(rawValue, operation | LOCK_NB) }
    }
}

/// How many descriptors this process may have open.
extension HostFacts {
    package static var openFileLimit: UInt64 {
        var limit = rlimit()
        // SAFETY: getrlimit fills the structure it is given.
        guard unsafe getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return 256 }
        return UInt64(limit.rlim_cur)
    }

    package static var groupID: UInt32 { getgid() }
}
