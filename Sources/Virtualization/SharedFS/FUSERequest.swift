internal import ByteCodec
internal import LinuxSystem

/// A request that cannot be answered because its frame is broken. The device that carried it has to fail.
package enum FUSEViolation: Error, Hashable, Sendable {
    /// Less than a header.
    case truncatedHeader(length: Int)
    /// The header's length is not that of the request.
    case lengthMismatch(header: UInt32, actual: UInt64)
    /// There is no room for the header of the reply.
    case replyCapacity(Int)
}

/// `fuse_in_header` and what follows it, read front to back.
///
/// A request that ends early or late, or holds a bad name, throws the errno that answers it.
package struct FUSERequest: Sendable {
    package static let headerLength = 40
    /// Header and arguments of `FUSE_WRITE`, which the data follows.
    package static let writeHeaderLength = 80
    /// The longest request without the data of `FUSE_WRITE`: an extended attribute of 64 KiB and its name.
    package static let maxLength = 40 + 16 + 256 + 65536

    /// How much of a request of `length` bytes is header and arguments; the rest is file data, which is only ever handed to
    /// `FUSEData`. Nil where the request is longer than any may be. `header` is its start, 40 bytes or more.
    package static func controlLength(header: [UInt8], length: Int) -> Int? {
        // The operation is the second field, in little endian.
        guard header.count >= headerLength else { return length <= maxLength ? length : nil }
        if header[4..<8].elementsEqual([UInt8(FUSE.Opcode.write.rawValue), 0, 0, 0]) {
            return min(length, writeHeaderLength)
        }
        return length <= maxLength ? length : nil
    }

    let operation: UInt32
    let unique: UInt64
    let node: UInt64
    private var reader: ByteReader

    /// - Parameter bytes: header and arguments.
    init(_ bytes: [UInt8]) throws(FUSEViolation) {
        var reader = ByteReader(bytes)
        let length: UInt32
        var dataLength: UInt32 = 0
        do throws(ByteReaderOverrun) {
            length = try reader.littleEndian()
            operation = try reader.littleEndian()
            unique = try reader.littleEndian()
            node = try reader.littleEndian()
            // The caller's uid, gid and pid: who may do what is the guest kernel's to decide.
            _ = try reader.slice(16)
            if operation == FUSE.Opcode.write.rawValue, bytes.count >= Self.writeHeaderLength {
                var arguments = reader
                _ = try arguments.slice(16)
                dataLength = try arguments.littleEndian()
            }
        } catch {
            throw .truncatedHeader(length: bytes.count)
        }
        let actual = UInt64(bytes.count) + UInt64(dataLength)
        if UInt64(length) != actual { throw .lengthMismatch(header: length, actual: actual) }
        self.reader = reader
    }

    // MARK: Arguments

    private func refuse(_ errno: Errno) -> SyscallError { SyscallError(errno, call: "FUSE") }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(SyscallError) -> Value {
        do throws(ByteReaderOverrun) {
            return try reader.littleEndian()
        } catch {
            throw refuse(.invalidArgument)
        }
    }

    mutating func skip(_ count: Int) throws(SyscallError) {
        _ = try bytes(count)
    }

    mutating func bytes(_ count: Int) throws(SyscallError) -> [UInt8] {
        do throws(ByteReaderOverrun) {
            return Array(try reader.slice(count))
        } catch {
            throw refuse(.invalidArgument)
        }
    }

    /// Bytes up to a zero byte, which is taken too.
    mutating func string() throws(SyscallError) -> [UInt8] {
        var rest = reader
        guard let all = try? rest.slice(rest.remaining), let end = all.firstIndex(of: 0) else {
            throw refuse(.invalidArgument)
        }
        let text = Array(all[..<end])
        try skip(text.count + 1)
        return text
    }

    mutating func name() throws(SyscallError) -> PathComponent {
        let text = try string()
        do throws(PathComponent.Violation) {
            return try PathComponent(text)
        } catch {
            throw if case .tooLong = error { refuse(.nameTooLong) } else { refuse(.invalidArgument) }
        }
    }

    /// The arguments are over.
    func end() throws(SyscallError) {
        if reader.remaining != 0 { throw refuse(.invalidArgument) }
    }

    var remaining: Int { reader.remaining }
}
