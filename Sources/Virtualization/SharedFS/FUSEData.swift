package import LinuxSystem

/// The file data of one request, in the guest's memory: behind the arguments of `FUSE_WRITE`, or behind the header of the
/// reply to `FUSE_READ`.
///
/// Each is called at most once for a request. A conformance moves at most `count` bytes and at most what the guest's buffers
/// hold; moving less is a short read or write.
package protocol FUSEData {
    /// From the file into the guest.
    mutating func read(
        from file: borrowing OwnedFD,
        at offset: UInt64,
        count: Int,
    ) throws(SyscallError) -> Int

    /// From the guest into the file.
    mutating func write(
        to file: borrowing OwnedFD,
        at offset: UInt64,
        count: Int,
        _ mode: WriteMode,
    ) throws(SyscallError) -> Int
}
