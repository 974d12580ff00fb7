internal import Synchronization

/// A device's configuration, as its driver reads it (virtio 1.2, section 2.5). Any thread; guarded by `state`.
package final class VirtioConfiguration: Sendable {
    private struct State {
        var bytes: [UInt8]
        var generation: UInt32 = 0
    }

    /// What the driver may write.
    private let writable: Range<Int>
    private let state: Mutex<State>

    package init(_ bytes: [UInt8] = [], writable: Range<Int> = 0..<0) {
        self.writable = writable
        state = Mutex(State(bytes: bytes))
    }

    /// Changes with the configuration, so that a driver notices that it read some of the old and some of the new.
    var generation: UInt32 {
        get { state.withLock { $0.generation } }
        set { state.withLock { $0.generation = newValue } }
    }

    /// What is beyond it reads as zero.
    func read(_ offset: UInt64, count: Int) -> UInt64 {
        state.withLock { state in
            guard let start = Int(exactly: offset), start < state.bytes.count else { return 0 }
            return state.bytes[start...].prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    /// A write of the driver. What it may not write is ignored.
    func write(_ offset: UInt64, _ value: UInt64, count: Int) {
        guard let start = Int(exactly: offset), (1...8).contains(count) else { return }
        state.withLock { state in
            // An offset far beyond the end does not wrap.
            for index in 0..<count
            where writable.contains(start &+ index) && state.bytes.indices.contains(start &+ index) {
                state.bytes[start &+ index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
            }
        }
    }

    /// A field as it is now, in the driver's byte order.
    package func load<Value: FixedWidthInteger & Sendable>(_: Value.Type = Value.self, at offset: Int) -> Value {
        state.withLock { state in
            let count = Value.bitWidth / 8
            precondition(offset >= 0 && offset + count <= state.bytes.count, "a field is in the configuration")
            return state.bytes[offset..<offset + count].reversed().reduce(0) {
                ($0 << 8) | Value(truncatingIfNeeded: $1)
            }
        }
    }

    /// Changes a field. The device then raises `configurationChange`.
    package func store(_ field: [UInt8], at offset: Int) {
        state.withLock { state in
            precondition(offset >= 0 && offset + field.count <= state.bytes.count, "a field is in the configuration")
            state.bytes.replaceSubrange(offset..<offset + field.count, with: field)
            state.generation &+= 1
        }
    }
}
