internal import Synchronization

/// A device's configuration, as its driver reads it (virtio 1.2, section 2.5). Any thread; guarded by `state`.
package final class VirtioConfiguration: Sendable {
    private struct State {
        var bytes: [UInt8]
        var generation: UInt32 = 0
    }

    private let state: Mutex<State>

    package init(_ bytes: [UInt8] = []) {
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

    /// Changes a field. The device then raises `configurationChange`.
    package func store(_ field: [UInt8], at offset: Int) {
        state.withLock { state in
            precondition(offset >= 0 && offset + field.count <= state.bytes.count, "a field is in the configuration")
            state.bytes.replaceSubrange(offset..<offset + field.count, with: field)
            state.generation &+= 1
        }
    }
}
