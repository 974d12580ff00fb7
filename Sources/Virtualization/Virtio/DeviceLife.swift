internal import LinuxSystem
internal import MachineMemory

/// A device between reset and reset. Confined to the thread of its loop.
final class DeviceLife {
    private let device: any VirtioDevice
    private let context: VirtioDeviceContext
    private let report: (any Error) -> Void
    /// Nil without a driver, or with one that broke the rules.
    private var queues: [VirtQueue?]?

    init(_ device: any VirtioDevice, _ context: VirtioDeviceContext, report: @escaping (any Error) -> Void) {
        self.device = device
        self.context = context
        self.report = report
        context.onFailure { [unowned self] in fail($0) }
    }

    /// Kicks in a row that brought nothing, after which a queue's bell rests: a driver that rings it without end would have
    /// this thread run without end, at the cost of the other machines of the host.
    private static let maxIdleKicks = 64
    private static let rest = Duration.milliseconds(1)

    /// Serves a queue when its bell rings. The bell lives as long as the loop.
    func watch(_ bell: borrowing Doorbell, queue: Int, answer: @escaping () -> Void) throws(SyscallError) {
        let loop = context.loop
        var watch: EventLoop.Watch?
        var idleKicks = 0
        var served: UInt16?
        watch = try loop.watch(bell.descriptor, for: .readable) { [self, unowned loop] _ in
            answer()
            if queues != nil { context.attempt { try device.notified(queue: queue) } }
            let next = nextAvailable(queue)
            idleKicks = next == served ? idleKicks + 1 : 0
            served = next
            guard idleKicks >= Self.maxIdleKicks, let watch else { return }
            loop.change(watch, to: [])
            _ = loop.schedule(after: Self.rest) { loop.change(watch, to: .readable) }
        }
    }

    /// How far a queue was served.
    private func nextAvailable(_ queue: Int) -> UInt16? {
        guard let queues, queues.indices.contains(queue) else { return nil }
        return queues[queue]?.state.nextAvailable
    }

    func activate(_ states: [VirtQueue.State], _ features: VirtioFeatures) {
        context.attempt { try start(states, features, restoring: nil) }
    }

    private func start(_ states: [VirtQueue.State], _ features: VirtioFeatures, restoring state: [UInt8]?) throws {
        // There is a driver from here on, whose queues may be where they cannot be: that is a failure as any other.
        self.queues = []
        let queues = try states.map { state throws(VirtQueue.Violation) -> VirtQueue? in
            state.isReady ? try VirtQueue(state, features: features, memory: context.memory) : nil
        }
        self.queues = queues
        try device.activate(queues, features: features)
        if let state { try device.restore(decoding: state) }
        // What the driver made available before is served without a kick.
        for index in queues.indices where queues[index] != nil { try device.notified(queue: index) }
    }

    func reset() {
        queues = nil
        device.reset()
        context.interrupt.clear()
    }

    /// A driver that breaks the rules loses its device until it resets it; nothing else is touched.
    private func fail(_ error: any Error) {
        guard queues != nil else { return }
        queues = nil
        device.reset()
        context.interrupt.requestReset()
        report(error)
    }

    // MARK: Saved state

    /// How far each queue was served, and what the device remembers; nil without a driver.
    func save() -> (queues: [VirtQueue.State?], device: [UInt8])? {
        guard let queues else { return nil }
        return (queues.map { $0?.state }, device.encodedState)
    }

    /// Instead of `activate`. After an error the device is without a driver.
    func restore(_ states: [VirtQueue.State], _ features: VirtioFeatures, _ state: [UInt8]) throws {
        do {
            try start(states, features, restoring: state)
        } catch {
            queues = nil
            device.reset()
            throw error
        }
    }
}
