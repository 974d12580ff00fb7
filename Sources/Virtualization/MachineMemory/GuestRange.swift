internal import Glibc
package import LinuxSystem
internal import Synchronization

/// A window on the guest's memory that was found to be there. Offsets beyond it are a bug of ours and trap.
@safe @usableFromInline
package struct GuestRange: @unchecked Sendable {
    private let owner: GuestMemory
    @usableFromInline let base: UnsafeMutableRawPointer
    package let count: Int
    package let address: GuestAddress

    /// `base` must stay valid for `count` bytes while `owner` lives.
    @unsafe init(_ owner: GuestMemory, _ base: UnsafeMutableRawPointer, _ count: Int, _ address: GuestAddress) {
        self.owner = owner
        unsafe self.base = base
        self.count = count
        self.address = address
    }

    /// A part of it.
    package func slice(_ offset: Int, _ count: Int) -> GuestRange {
        check(offset, count)
        return unsafe GuestRange(owner, base + offset, count, GuestAddress(address.rawValue + UInt64(offset)))
    }

    package func prefix(_ count: Int) -> GuestRange { slice(0, min(count, self.count)) }
    package func dropFirst(_ count: Int) -> GuestRange {
        slice(min(count, self.count), self.count - min(count, self.count))
    }

    // MARK: Copies

    package func read() -> [UInt8] {
        // SAFETY: memcpy of `count` bytes that are mapped; the guest may write meanwhile, which garbles only its own data.
        unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let destination = buffer.baseAddress, count > 0 {
                unsafe memcpy(destination, base, count)
            }
            initialized = count
        }
    }

    /// Writes the bytes to the front; they fit.
    package func write(_ bytes: [UInt8]) {
        write(bytes[...])
    }

    package func write(_ bytes: ArraySlice<UInt8>) {
        check(0, bytes.count)
        // SAFETY: checked above.
        unsafe bytes.withUnsafeBytes { source in
            if let start = source.baseAddress { unsafe memcpy(base, start, source.count) }
        }
    }

    /// Fills it with zeroes.
    package func clear() {
        // SAFETY: the range is mapped.
        unsafe memset(base, 0, count)
    }

    /// One load, in the byte order of the machine, which is the guest's. Inlinable, like the store: generic code of another
    /// module goes through tables of witnesses.
    @inlinable
    package func load<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type = Value.self, at offset: Int) -> Value {
        check(offset, MemoryLayout<Value>.size)
        // SAFETY: checked above; any alignment.
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: Value.self)
    }

    @inlinable
    package func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        check(offset, MemoryLayout<Value>.size)
        // SAFETY: checked above; any alignment.
        unsafe base.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }

    // MARK: What both sides use at the same time

    /// Whatever the guest wrote before it wrote this value is seen after this load. The address is even.
    package func loadAcquire16(at offset: Int) -> UInt16 {
        // SAFETY: the pointer is in bounds and aligned, and the memory outlives the call.
        unsafe atomic(at: offset).pointee.load(ordering: .acquiring)
    }

    /// The guest that sees this value sees whatever was written before. The address is even.
    package func storeRelease16(_ value: UInt16, at offset: Int) {
        // SAFETY: as above.
        unsafe atomic(at: offset).pointee.store(value, ordering: .releasing)
    }

    @unsafe private func atomic(at offset: Int) -> UnsafeMutablePointer<Atomic<UInt16>> {
        check(offset, 2)
        precondition((address.rawValue &+ UInt64(offset)) & 1 == 0, "a ring index is aligned")
        return unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
    }

    @usableFromInline
    func check(_ offset: Int, _ count: Int) {
        precondition(offset >= 0 && count >= 0 && offset <= self.count - count, "an access is inside its range")
    }

    /// For a vectored system call.
    @unsafe package var vector: IOVector { unsafe IOVector(base: base, count: count) }
}

/// Transfers between a descriptor and the guest's memory, without a copy of ours.
extension OwnedFD {
    /// Reads once into the ranges, in order. A short count is normal; 0 is the end.
    package func read(into ranges: [GuestRange], at offset: UInt64? = nil) throws(SyscallError) -> Int {
        // SAFETY: the ranges keep their memory alive until the call returns.
        try unsafe read(into: ranges.map { unsafe $0.vector }, at: offset)
    }

    package func write(
        from ranges: [GuestRange],
        at offset: UInt64? = nil,
        _ mode: WriteMode = [],
    ) throws(SyscallError) -> Int {
        // SAFETY: as above.
        try unsafe write(from: ranges.map { unsafe $0.vector }, at: offset, mode)
    }
}

/// Both sides' writes before this are visible before any read after it.
package func memoryFence() {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
}
