package import MachineMemory
internal import Synchronization

/// The configuration of one device, which the driver reads and may write in part (virtio 1.2, section 2.5). Any thread.
package final class ConfigurationSpace: Sendable {
    private let page: RegisterPage
    /// Its bytes, in the page.
    private let place: Range<Int>
    /// What the driver may write, from the beginning of the space; all else of its writes is ignored.
    private let writable: Range<Int>
    /// Held while it is changed, and while this side reads it: the driver's bytes come one by one.
    private let change = Mutex(())

    /// `bytes` fit behind the registers of `page`.
    package init(_ bytes: [UInt8], writable: Range<Int>, in page: RegisterPage) {
        let start = MMIORegisters.Offset.configuration
        precondition(bytes.count <= RegisterPage.size - start, "a configuration fits into its window")
        self.page = page
        self.writable = writable
        place = start..<start + bytes.count
        for (offset, byte) in zip(place, bytes) { page.store(byte, at: offset) }
    }

    /// A value of the device's fields, little-endian. Beyond the end it is nil.
    package func load<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type = Value.self, at offset: Int) -> Value?
    {
        guard let offset = inPage(offset, MemoryLayout<Value>.size) else { return nil }
        return change.withLock { _ in Value(littleEndian: page.load(at: offset)) }
    }

    /// Changes a field on behalf of the device, which then tells the driver by an interrupt. Beyond the end nothing changes.
    ///
    /// A field has at most 32 bits, as the driver reads the space in such words, without a lock.
    package func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        precondition(Value.bitWidth <= 32, "a field is read whole")
        guard let offset = inPage(offset, MemoryLayout<Value>.size) else { return }
        change.withLock { _ in
            page.store(value.littleEndian, at: offset)
            memoryFence()
            setGeneration(generation &+ 1)
        }
    }

    private func inPage(_ offset: Int, _ count: Int) -> Int? {
        offset >= 0 && offset <= place.count - count ? place.lowerBound + offset : nil
    }

    // MARK: The driver

    /// Differs from before when a field has changed meanwhile, so that several can be read together.
    var generation: UInt32 { page.load(at: MMIORegisters.Offset.configurationGeneration) }

    private func setGeneration(_ value: UInt32) {
        page.store(value, at: MMIORegisters.Offset.configurationGeneration)
    }

    func write(_ offset: Int, _ value: UInt64, count: Int) {
        guard (1...8).contains(count) else { return }
        change.withLock { _ in
            // Wrapping: an offset that no window has is ignored like any other.
            for index in 0..<count where writable.contains(offset &+ index) {
                page.store(UInt8(truncatingIfNeeded: value >> (8 * index)), at: place.lowerBound + offset + index)
            }
        }
    }

    // MARK: Saved state

    /// What the driver may write, as it is now.
    var written: [UInt8] { writable.map { page.load(at: place.lowerBound + $0) } }

    func restore(written: [UInt8], generation: UInt32) {
        change.withLock { _ in
            for (offset, byte) in zip(writable, written) { page.store(byte, at: place.lowerBound + offset) }
            setGeneration(generation)
        }
    }
}
