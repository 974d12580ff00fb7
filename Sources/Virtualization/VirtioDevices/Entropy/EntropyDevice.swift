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
        var source = SystemRandomNumberGenerator()
        try context.drain(queue) { chain in
            let count = min(chain.writableCount, Self.maxBytes)
            let words = (0..<(count + 7) / 8).map { _ in source.next() as UInt64 }
            return chain.write(
                words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }.prefix(count)
            )
        }
    }

    package func reset() {
        queue = nil
    }
}
