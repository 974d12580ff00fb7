internal import CLinux
internal import Glibc

/// Pages mapped into this process; unmapped when their owner goes.
@safe
package struct MemoryMapping: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    package let count: Int

    /// Zeroed private pages, which take memory when they are first touched.
    package init(anonymous count: Int) throws(SyscallError) {
        unsafe base = try Self.map(count, Self.anonymous, -1)
        self.count = count
    }

    /// The same at a multiple of `alignment`, which is a power of two. Both are whole pages.
    package init(anonymous count: Int, alignment: Int) throws(SyscallError) {
        let start = unsafe try Self.map(count + alignment, Self.anonymous, -1)
        let before = -Int(bitPattern: start) & (alignment - 1)
        unsafe base = start + before
        self.count = count
        // SAFETY: both ends are of what was just mapped, outside of what is kept, and nobody knows of them.
        if before > 0 { _ = unsafe munmap(start, before) }
        _ = unsafe munmap(base + count, alignment - before)
    }

    /// The first bytes of what a descriptor stands for, shared with it.
    package init(sharing descriptor: borrowing OwnedFD, count: Int) throws(SyscallError) {
        unsafe base = try Self.map(count, MAP_SHARED, descriptor.rawValue)
        self.count = count
    }

    private static let anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE

    @unsafe private static func map(
        _ count: Int,
        _ flags: Int32,
        _ descriptor: Int32,
    ) throws(SyscallError) -> UnsafeMutableRawPointer {
        // SAFETY: the kernel chooses the address, so nothing else is mapped over.
        let pointer = unsafe mmap(nil, count, PROT_READ | PROT_WRITE, flags, descriptor, 0)
        guard let pointer = unsafe pointer, unsafe pointer != MAP_FAILED else {
            throw SyscallError(currentErrno(), call: "mmap", on: "\(count) bytes")
        }
        return unsafe pointer
    }

    deinit {
        // SAFETY: base and count are those of mmap, and the owner is gone.
        _ = unsafe munmap(base, count)
    }

    /// Valid as long as the mapping.
    @unsafe package var baseAddress: UnsafeMutableRawPointer { unsafe base }

    /// Asks for pages of 2 MiB, where the host gives them.
    package func preferHugePages() {
        // Losing it costs speed only. SAFETY: the range is this mapping.
        _ = unsafe madvise(base, count, MADV_HUGEPAGE)
    }

    /// Gives pages back to the host; they read as zero from then on. The range is within the mapping.
    package func discard(_ range: Range<Int>) throws(SyscallError) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "the range is within the mapping")
        // SAFETY: checked above.
        try retrying("madvise") { unsafe madvise(base + range.lowerBound, range.count, MADV_DONTNEED) }
    }
}
