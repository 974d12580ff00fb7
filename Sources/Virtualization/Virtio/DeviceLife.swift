internal import LinuxSystem
internal import MachineMemory

/// A device between reset and reset. Confined to the thread of its loop.
final class DeviceLife {
    private let device: any VirtioDevice
    private let context: VirtioDeviceContext
    private let report: (any Error) -> Void
    private var isActive = false

    init(_ device: any VirtioDevice, _ context: VirtioDeviceContext, report: @escaping (any Error) -> Void) {
        self.device = device
        self.context = context
        self.report = report
    }

    /// Serves a queue when its bell rings. The bell lives as long as the loop.
    func watch(_ bell: borrowing Doorbell, queue: Int, answer: @escaping () -> Void) throws(SyscallError) {
        _ = try context.loop.watch(bell.descriptor, for: .readable) { [self] _ in
            answer()
            guard isActive else { return }
            attempt { try device.notified(queue: queue) }
        }
    }

    func activate(_ states: [VirtQueue.State], _ features: VirtioFeatures) {
        attempt {
            let queues = try states.map { state throws(VirtQueue.Violation) -> VirtQueue? in
                state.isReady ? try VirtQueue(state, features: features, memory: context.memory) : nil
            }
            isActive = true
            try device.activate(queues, features: features)
            // What the driver made available before it was done is served without a kick.
            for index in queues.indices where queues[index] != nil { try device.notified(queue: index) }
        }
    }

    func reset() {
        isActive = false
        device.reset()
        context.interrupt.clear()
    }

    /// A driver that breaks the rules loses its device until it resets it; nothing else is touched.
    private func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            isActive = false
            device.reset()
            context.interrupt.requestReset()
            report(error)
        }
    }
}
