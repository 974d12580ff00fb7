internal import CLinux
internal import Glibc

/// A piece of memory that a vectored call reads or writes. Its maker answers for the memory being there.
@unsafe
package struct IOVector {
    package let base: UnsafeMutableRawPointer
    package let count: Int

    package init(base: UnsafeMutableRawPointer, count: Int) {
        unsafe self.base = base
        unsafe self.count = count
    }
}

/// Transfers between a descriptor and pieces of memory, once each: a short count is normal.
extension OwnedFD {
    /// More pieces than this are left for the next call: the kernel's limit.
    private static let maxVectors = 1024

    /// At an offset of a file, or where a stream is. 0 at the end.
    package func read(into vectors: [IOVector], at offset: UInt64? = nil) throws(SyscallError) -> Int {
        let pieces = unsafe Self.pieces(vectors)
        return try retrying("readv") {
            // SAFETY: the pieces describe memory that the caller answers for, and their count is passed.
            if let offset {
                unsafe preadv(rawValue, pieces, Int32(pieces.count), Int(truncatingIfNeeded: offset))
            } else {
                unsafe readv(rawValue, pieces, Int32(pieces.count))
            }
        }
    }

    package func write(from vectors: [IOVector], at offset: UInt64? = nil) throws(SyscallError) -> Int {
        let pieces = unsafe Self.pieces(vectors)
        return try retrying("writev") {
            // SAFETY: as above.
            if let offset {
                unsafe pwritev(rawValue, pieces, Int32(pieces.count), Int(truncatingIfNeeded: offset))
            } else {
                unsafe writev(rawValue, pieces, Int32(pieces.count))
            }
        }
    }

    @unsafe private static func pieces(_ vectors: [IOVector]) -> [iovec] {
        unsafe vectors.prefix(maxVectors).map { unsafe iovec(iov_base: $0.base, iov_len: $0.count) }
    }
}

extension OwnedFD {
    /// Blocks this thread until there is something to read, or the time is over; whether there is.
    package func waitUntilReadable(for duration: Duration) throws(SyscallError) -> Bool {
        var entry = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
        let (seconds, attoseconds) = duration.components
        let milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
        // SAFETY: one entry is passed and filled.
        return try retrying("poll") { unsafe poll(&entry, 1, milliseconds) } > 0
    }

    /// Ends both directions of a socket.
    package func shutDown() throws(SyscallError) {
        try retrying("shutdown") { shutdown(rawValue, Int32(SHUT_RDWR)) }
    }
}

/// Files as disks.
extension OwnedFD {
    /// Size in bytes of a regular file.
    package func fileSize() throws(SyscallError) -> UInt64 {
        var status = stat()
        // SAFETY: fstat fills the structure it is given.
        try retrying("fstat") { unsafe fstat(rawValue, &status) }
        return UInt64(max(0, status.st_size))
    }
}
