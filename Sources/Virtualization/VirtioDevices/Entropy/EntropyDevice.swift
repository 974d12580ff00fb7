internal import LinuxSystem
internal import MachineMemory
package import Virtio

/// Random bytes from the host's kernel (virtio 1.2, section 5.4). Confined to its loop.
package final class EntropyDevice: VirtioDevice {
    /// Of one request: a guest that asks for gibibytes gets them in pieces that cost the host nothing.
    private static let maxBytes = 64 << 10

    package static let description = VirtioDeviceDescription(kind: .entropy, queueSizes: [64])

    private let context: VirtioDeviceContext
    private var queue: VirtQueue?

    package init(_ context: VirtioDeviceContext) {
        self.context = context
    }

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {
        queue = queues[0]
    }

    package func notified(queue: Int) throws {
        guard let queue = self.queue else { return }
        try context.drain(queue) { chain in
            chain.write(try HostFacts.randomBytes(min(chain.writableCount, Self.maxBytes)))
        }
    }

    package func reset() {
        queue = nil
    }
}
