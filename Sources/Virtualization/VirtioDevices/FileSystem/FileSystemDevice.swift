internal import ByteCodec
internal import LinuxSystem
internal import MachineMemory
package import SharedFS
package import Virtio

/// A directory of the host, as a file system of the guest: virtio-fs (virtio 1.2, section 5.11). Confined to its loop, which is
/// a thread of its own: the host's file system may be slow.
package final class FileSystemDevice: VirtioDevice {
    package enum Violation: Error, Hashable, Sendable {
        /// Longer than any request without its data.
        case requestTooLong(count: Int)
        case replyTooLong(count: Int, room: Int)
    }

    /// Of the device's name, section 5.11.4.
    package static let maxTag = 36
    private static let replyHeaderLength = 16
    /// How long a `FUSE_FORGET` waits for other requests while they come thick.
    package static let lull = Duration.milliseconds(5)
    private static let highPriority = 0

    /// `tag` is what the guest mounts it by, at most `maxTag` bytes.
    package static func description(tag: String) -> VirtioDeviceDescription {
        var configuration = Array(tag.utf8.prefix(maxTag))
        configuration += [UInt8](repeating: 0, count: maxTag - configuration.count)
        configuration.append(littleEndian: UInt32(1))  // Queues of requests, beside the one of high priority.
        return VirtioDeviceDescription(kind: .fileSystem, queueSizes: [128, 256], configuration: configuration)
    }

    private let context: VirtioDeviceContext
    private let server: FUSEServer
    private var queues: [VirtQueue?] = []
    /// Set while the driver is not asked for kicks of the queue of high priority.
    private var timer: EventLoop.Timer?
    private var hasForgotten = false

    package init(_ context: VirtioDeviceContext, _ server: FUSEServer) {
        self.context = context
        self.server = server
    }

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {
        self.queues = queues
    }

    /// The queue of high priority carries `FUSE_FORGET`, one for each file that the guest drops, and nobody waits for one. So the
    /// first is served at once, and those behind it together with other requests, or after a lull: a kick and an interrupt for
    /// each would cost the guest as much as the requests that it waits for.
    package func notified(queue index: Int) throws {
        guard queues.indices.contains(index), let queue = queues[index] else { return }
        if index == Self.highPriority || timer != nil { try forget() }
        if index != Self.highPriority { try context.drain(queue, serve) }
    }

    private func forget() throws {
        guard let queue = queues[Self.highPriority] else { return }
        while let chain = try queue.next() {
            queue.finish(chain, written: try serve(chain) ?? 0)
            hasForgotten = true
        }
        if timer != nil { return }
        timer = context.loop.schedule(after: Self.lull) { [unowned self] in
            timer = nil
            context.attempt(endLull)
        }
    }

    private func endLull() throws {
        guard let queue = queues.first ?? nil else { return }
        if hasForgotten || queue.awaitRequest() {
            hasForgotten = false
            try forget()
        }
        context.tell(of: queue)
    }

    package func reset() {
        if let timer { context.loop.cancel(timer) }
        timer = nil
        hasForgotten = false
        queues = []
        server.reset()
    }

    // MARK: Saved state

    package func save() -> State {
        // Whoever goes on from here knows nothing of what was not told.
        if let queue = queues.first ?? nil { context.tell(of: queue) }
        return State(server.progress)
    }

    package func restore(_ state: State) throws {
        try server.resume(state.progress)
    }

    // MARK: Requests

    private func serve(_ chain: DescriptorChain) throws -> Int? {
        let count = chain.readableCount
        // Most requests are no longer. What was read counts, whatever the guest makes of it meanwhile.
        var request = chain.read(upTo: FUSERequest.writeHeaderLength)
        guard let controlCount = FUSERequest.controlLength(header: request, length: count) else {
            throw Violation.requestTooLong(count: count)
        }
        let rest = chain.readable.withoutFirstBytes(request.count).firstBytes(controlCount - request.count)
        for range in rest { request += range.read() }
        var data = ChainData(chain: chain, controlCount: controlCount, replyHeaderLength: Self.replyHeaderLength)
        let room = chain.writableCount
        guard let reply = try server.handle(request, replyCapacity: room, data: &data) else { return 0 }
        guard chain.write(reply) == reply.count else {
            throw Violation.replyTooLong(count: reply.count, room: room)
        }
        // The data of a read is there already, and counted in the reply's length.
        return max(reply.count, reply.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) })
    }
}

/// File data in the buffers of a request, which moves without a copy.
private struct ChainData: FUSEData {
    let chain: DescriptorChain
    let controlCount: Int
    let replyHeaderLength: Int

    mutating func read(
        from file: borrowing OwnedFD,
        at offset: UInt64,
        count: Int,
    ) throws(SyscallError) -> Int {
        try file.read(into: chain.writable.withoutFirstBytes(replyHeaderLength).firstBytes(count), at: offset)
    }

    mutating func write(
        to file: borrowing OwnedFD,
        at offset: UInt64,
        count: Int,
        _ mode: WriteMode,
    ) throws(SyscallError) -> Int {
        try file.write(from: chain.readable.withoutFirstBytes(controlCount).firstBytes(count), at: offset, mode)
    }
}
