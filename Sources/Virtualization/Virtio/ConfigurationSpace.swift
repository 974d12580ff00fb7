internal import Synchronization

/// The configuration of one device, which the driver reads and may write in part (virtio 1.2, section 2.5). Any thread.
package final class ConfigurationSpace: Sendable {
    private struct State {
        var bytes: [UInt8]
        var generation: UInt32 = 0
    }

    /// What the driver may write; all else of its writes is ignored.
    private let writable: Range<Int>
    private let state: Mutex<State>

    init(_ bytes: [UInt8], writable: Range<Int>) {
        self.writable = writable
        state = Mutex(State(bytes: bytes))
    }

    /// A value of the device's fields, little-endian. Beyond the end it is nil.
    package func load<Value: FixedWidthInteger & Sendable>(_: Value.Type = Value.self, at offset: Int) -> Value? {
        state.withLock { state in
            guard offset >= 0, offset <= state.bytes.count - Value.bitWidth / 8 else { return nil }
            let field = state.bytes[offset..<offset + Value.bitWidth / 8]
            return field.reversed().reduce(0) { ($0 << 8) | Value(truncatingIfNeeded: $1) }
        }
    }

    /// Changes a field on behalf of the device, which then tells the driver by an interrupt. Beyond the end nothing changes.
    package func store(_ value: some FixedWidthInteger, at offset: Int) {
        state.withLock { state in
            let count = value.bitWidth / 8
            guard offset >= 0, offset <= state.bytes.count - count else { return }
            for index in 0..<count {
                state.bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
            }
            state.generation &+= 1
        }
    }

    // MARK: The driver

    /// Differs from before when a field has changed meanwhile, so that one of many words can be read whole.
    var generation: UInt32 { state.withLock { $0.generation } }

    func read(_ offset: UInt64, count: Int) -> UInt64 {
        state.withLock { state in
            guard let start = Int(exactly: offset), start < state.bytes.count else { return 0 }
            return state.bytes[start...].prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    func write(_ offset: UInt64, _ value: UInt64, count: Int) {
        guard let start = Int(exactly: offset), (1...8).contains(count) else { return }
        state.withLock { state in
            // An offset far beyond the end wraps to none that is writable.
            for index in 0..<count where writable.contains(start &+ index) {
                state.bytes[start + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
            }
        }
    }

    // MARK: Saved state

    /// What the driver may write, as it is now.
    var written: [UInt8] { state.withLock { Array($0.bytes[writable]) } }

    func restore(written: [UInt8], generation: UInt32) {
        state.withLock { state in
            state.bytes.replaceSubrange(writable, with: written)
            state.generation = generation
        }
    }
}
