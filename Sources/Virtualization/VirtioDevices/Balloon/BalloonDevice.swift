internal import ByteCodec
internal import MachineMemory
package import Virtio

/// Memory that the guest gives back: what its driver puts into the balloon because the host asks for it, and, unasked, what
/// its kernel finds free (virtio 1.2, section 5.5). Confined to its loop.
package final class BalloonDevice: VirtioDevice {
    package enum Violation: Error, Hashable, Sendable {
        /// Longer than any list of pages.
        case listTooLong(count: Int)
        case pageOutOfMemory(UInt32)
    }

    private enum Feature {
        /// The guest takes pages back from the balloon rather than end a process.
        static let deflateOnOutOfMemory = VirtioFeatures(rawValue: 1 << 2)
        static let reporting = VirtioFeatures(rawValue: 1 << 5)
    }

    /// Without queues for statistics and hints, which are not offered, reports come third.
    private enum Queue {
        static let inflate = 0
        static let deflate = 1
        static let report = 2
    }

    enum Field {
        static let target = 0
        static let actual = 4
    }

    /// Of one request: a driver sends 256 pages at a time, and may send more.
    private static let maxListBytes = 4 << 10

    /// The driver writes one field of its configuration: how many pages it gave.
    package static let description = VirtioDeviceDescription(
        kind: .balloon,
        features: [Feature.deflateOnOutOfMemory, Feature.reporting],
        queueSizes: [128, 128, 128],
        configuration: [UInt8](repeating: 0, count: 8),
        writableConfiguration: Field.actual..<Field.actual + 4,
    )

    private let context: VirtioDeviceContext
    private var queues: [VirtQueue?] = []

    package init(_ context: VirtioDeviceContext) {
        self.context = context
    }

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {
        self.queues = queues
        if !features.contains(Feature.reporting) { self.queues[Queue.report] = nil }
    }

    package func notified(queue index: Int) throws {
        guard queues.indices.contains(index), let queue = queues[index] else { return }
        try context.drain(queue) { chain in
            switch index {
            case Queue.inflate: try inflate(chain)
            case Queue.report: try takeReport(chain)
            default: break  // A page that the guest takes back is there when it is touched.
            }
            return 0
        }
    }

    package func reset() {
        queues = []
    }

    package func save() -> State {
        State(context.configuration)
    }

    package func restore(_ state: State) {
        context.configuration.store(state.target, at: Field.target)
        context.configuration.store(state.actual, at: Field.actual)
    }

    private func inflate(_ chain: DescriptorChain) throws {
        let count = chain.readableCount
        guard count <= Self.maxListBytes else { throw Violation.listTooLong(count: count) }
        let pages: PageRuns
        do throws(PageRuns.Violation) {
            pages = try PageRuns(parsing: chain.read(upTo: count), layout: context.memory.layout)
        } catch {
            throw Violation.pageOutOfMemory(error.page)
        }
        for run in pages.runs {
            try context.memory.discard(
                at: GuestAddress(run.lowerBound * GuestMemory.pageSize),
                count: UInt64(run.count) * GuestMemory.pageSize,
            )
        }
    }

    /// The buffers are the free pages themselves, and come back as they are: the driver leaves them alone until then.
    private func takeReport(_ chain: DescriptorChain) throws {
        for range in chain.writable {
            try context.memory.discard(at: range.address, count: UInt64(range.count))
        }
    }
}

/// The host's side of a balloon. Any thread, but for `setTarget`.
package struct BalloonControl: Sendable {
    private let configuration: ConfigurationSpace
    private let interrupt: VirtioInterrupt

    /// `transport` is a balloon's.
    package init(_ transport: MMIOTransport) {
        configuration = transport.configuration
        interrupt = transport.interrupt
    }

    package var state: BalloonDevice.State { BalloonDevice.State(configuration) }

    /// Asks the driver for as much memory, in bytes, rounded down to pages; or for less than before, and it takes some back.
    /// What the guest needs itself it does not give. On the thread of a device, as it raises an interrupt.
    package func setTarget(_ bytes: UInt64) {
        configuration.store(UInt32(clamping: bytes / GuestMemory.pageSize), at: BalloonDevice.Field.target)
        interrupt.raise(.configurationChange)
    }
}
