internal import Primitives
internal import Synchronization

/// The receiver's side of a stream under credit, shared by the task that takes messages and the one that consumes them.
/// Any thread; guarded by `window`.
final class ReceiveMeter: Sendable {
    private let window: Mutex<ReceiveWindow>

    init(capacity: Int) {
        window = Mutex(ReceiveWindow(capacity: capacity))
    }

    /// False if the bytes exceed the credit.
    func accept(_ count: Int) -> Bool {
        window.withLock { $0.accept(count) }
    }

    /// The credit to send now, 0 for none.
    func consume(_ count: Int) -> UInt32 {
        window.withLock { $0.consume(count) }
    }
}
