package import LinuxSystem
internal import Synchronization

/// What a guest reads of a device's window. The machine maps the page into the guest, read-only: a read is one of memory and
/// no exit, where the driver looks at the interrupt status at each interrupt.
///
/// Any thread. The guest sees every store whole, and those of one thread in their order.
@safe
package final class RegisterPage: Sendable {
    package static let size = 4096
    package let mapping: MemoryMapping

    package init() throws(SyscallError) {
        mapping = try MemoryMapping(anonymous: Self.size)
    }

    /// In the byte order of the machine, which is the guest's. Beyond the page is a bug of ours, and traps.
    package func load<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type = Value.self, at offset: Int) -> Value {
        check(offset, MemoryLayout<Value>.size)
        // SAFETY: checked above; any alignment.
        return unsafe mapping.baseAddress.loadUnaligned(fromByteOffset: offset, as: Value.self)
    }

    package func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        check(offset, MemoryLayout<Value>.size)
        // SAFETY: checked above; any alignment.
        unsafe mapping.baseAddress.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }

    // MARK: Words that several threads change

    package func setBits(_ bits: UInt32, at offset: Int) {
        // SAFETY: the word is in the page, which outlives the call.
        _ = unsafe word(at: offset).pointee.bitwiseOr(bits, ordering: .acquiringAndReleasing)
    }

    package func clearBits(_ bits: UInt32, at offset: Int) {
        // SAFETY: as above.
        _ = unsafe word(at: offset).pointee.bitwiseAnd(~bits, ordering: .acquiringAndReleasing)
    }

    @unsafe private func word(at offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        check(offset, 4)
        precondition(offset % 4 == 0, "a register is aligned")
        return unsafe (mapping.baseAddress + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    private func check(_ offset: Int, _ count: Int) {
        precondition(offset >= 0 && offset <= Self.size - count, "an access is inside the page")
    }
}
