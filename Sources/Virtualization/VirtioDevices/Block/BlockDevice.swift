internal import ByteCodec
package import LinuxSystem
internal import MachineMemory
package import Primitives
package import Virtio

/// A disk on a file (virtio 1.2, section 5.2). Confined to its loop, which is a thread of its own: the file may be slow.
package final class BlockDevice: VirtioDevice {
    /// A disk as far as its file is concerned.
    package struct Disk: Hashable, Sendable {
        package var serial: String
        /// In bytes; what is beyond the last whole sector is not seen.
        package var size: UInt64
        package var isReadOnly: Bool

        package init(serial: String, size: UInt64, isReadOnly: Bool) {
            self.serial = serial
            self.size = size
            self.isReadOnly = isReadOnly
        }

        var sectorCount: UInt64 { size / BlockRequest.sectorSize }

        /// Offset of a stretch of whole sectors; nil if it is not all on the disk.
        func bytes(from sector: UInt64, count: Int) -> UInt64? {
            guard count >= 0, UInt64(count) % BlockRequest.sectorSize == 0, sector <= sectorCount,
                UInt64(count) / BlockRequest.sectorSize <= sectorCount - sector
            else { return nil }
            return sector * BlockRequest.sectorSize
        }
    }

    private enum Feature {
        static let maxSegments = VirtioFeatures(rawValue: 1 << 2)
        static let readOnly = VirtioFeatures(rawValue: 1 << 5)
        static let flush = VirtioFeatures(rawValue: 1 << 9)
        static let discard = VirtioFeatures(rawValue: 1 << 13)
        static let writeZeroes = VirtioFeatures(rawValue: 1 << 14)
    }

    /// Section 5.2.6.
    private enum Status: UInt8 {
        case ok = 0
        case failed = 1
        case unsupported = 2
    }

    private static let queueSize: UInt16 = 256

    package static func description(_ disk: Disk) -> VirtioDeviceDescription {
        var configuration: [UInt8] = []
        configuration.append(littleEndian: disk.sectorCount)
        configuration.append(littleEndian: UInt32(0))  // Segments of any size,
        configuration.append(littleEndian: UInt32(queueSize - 2))  // beside header and status.
        configuration += [UInt8](repeating: 0, count: 20)  // Geometry, block size, topology, cache, queues.
        let maxSectors = BlockRequest.maxSegmentSectors
        for value in [maxSectors, UInt32(BlockRequest.maxSegments), 1] { configuration.append(littleEndian: value) }
        for value in [maxSectors, UInt32(BlockRequest.maxSegments)] { configuration.append(littleEndian: value) }
        configuration += [1, 0, 0, 0]  // Zeroes may free the space.
        return VirtioDeviceDescription(
            kind: .block,
            features: [
                Feature.maxSegments, Feature.flush,
                disk.isReadOnly ? Feature.readOnly : [Feature.discard, Feature.writeZeroes],
            ],
            queueSizes: [queueSize],
            configuration: configuration,
        )
    }

    private let context: VirtioDeviceContext
    private let disk: Disk
    private let file: OwnedFD
    private let limit: TransferLimit
    private var limiter: TransferLimiter
    private let origin = ContinuousClock.now
    /// Rings when the first request of the queue may pass. Until then the queue is left alone, however often it is kicked.
    private var timer: EventLoop.Timer?
    private var queue: VirtQueue?
    /// Without `flush` the driver takes what is written for kept (section 5.2.6.2).
    private var writeMode: WriteMode = []

    package init(
        _ context: VirtioDeviceContext,
        _ disk: Disk,
        file: consuming OwnedFD,
        limit: TransferLimit = .none,
    ) {
        self.context = context
        self.disk = disk
        self.file = file
        self.limit = limit
        limiter = TransferLimiter(limit, at: .zero)
    }

    package func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {
        queue = queues[0]
        writeMode = features.contains(Feature.flush) ? [] : .dataSync
    }

    package func notified(queue: Int) throws {
        guard let queue = self.queue, timer == nil else { return }
        try context.drain(queue) { chain in
            let request = try BlockRequest(chain, disk: disk)
            if let delay = limiter.admit(bytes: UInt64(request.transferCount), at: origin.duration(to: .now)) {
                wait(delay)
                return nil
            }
            let (status, written) = perform(request)
            request.status.store(status.rawValue, at: 0)
            // Everything up to the status byte counts as written, as the driver looks at the status alone.
            return status == .ok ? written + 1 : 1
        }
    }

    private func wait(_ delay: Duration) {
        timer = context.loop.schedule(after: delay) { [unowned self] in
            timer = nil
            context.attempt { try notified(queue: 0) }
        }
    }

    package func reset() {
        queue = nil
        if let timer { context.loop.cancel(timer) }
        timer = nil
    }

    // MARK: Saved state

    package func save() -> State {
        State(bytesLeft: limiter.bytes?.tokens ?? 0, operationsLeft: limiter.operations?.tokens ?? 0)
    }

    package func restore(_ state: State) {
        limiter = TransferLimiter(
            limit,
            bytes: state.bytesLeft,
            operations: state.operationsLeft,
            at: origin.duration(to: .now),
        )
    }

    // MARK: Requests

    private func perform(_ request: BlockRequest) -> (Status, written: Int) {
        do throws(SyscallError) {
            switch request.operation {
            case .read(let offset, let count):
                try transfer(request.data, offset) { ranges, offset throws(SyscallError) in
                    try file.read(into: ranges, at: offset)
                }
                return (.ok, count)
            case .write(let offset, _):
                try transfer(request.data, offset) { ranges, offset throws(SyscallError) in
                    try file.write(from: ranges, at: offset, writeMode)
                }
            case .flush:
                if !disk.isReadOnly { try file.synchronize(dataOnly: true) }
            case .serial:
                let serial = Array(disk.serial.utf8.prefix(BlockRequest.serialSize))
                let padded = serial + [UInt8](repeating: 0, count: BlockRequest.serialSize - serial.count)
                return (.ok, DescriptorChain(head: 0, readable: [], writable: request.data).write(padded))
            case .discard(let ranges):
                for range in ranges {
                    try file.allocate([.punchHole, .keepSize], at: range.lowerBound, count: UInt64(range.count))
                }
            case .writeZeroes(let ranges):
                for range in ranges { try zero(range) }
            case .refused: return (.failed, 0)
            case .unsupported: return (.unsupported, 0)
            }
            return (.ok, 0)
        } catch {
            // The driver writes zeroes itself, and discards no more.
            return (error.errno == .notSupported ? .unsupported : .failed, 0)
        }
    }

    private func zero(_ range: BlockRequest.ZeroedRange) throws(SyscallError) {
        let (start, count) = (range.bytes.lowerBound, UInt64(range.bytes.count))
        if !range.mayUnmap {
            do throws(SyscallError) {
                return try file.allocate([.zeroRange, .keepSize], at: start, count: count)
            } catch {
                guard error.errno == .notSupported else { throw error }
                // A file in memory has holes only, which read as zeroes too.
            }
        }
        try file.allocate([.punchHole, .keepSize], at: start, count: count)
    }

    /// Moves all of the data. A file that was cut short under us is an I/O error, not the end of anything.
    private func transfer(
        _ data: [GuestRange],
        _ offset: UInt64,
        _ once: ([GuestRange], UInt64) throws(SyscallError) -> Int,
    ) throws(SyscallError) {
        var rest = data
        var offset = offset
        while !rest.isEmpty {
            let count = try once(rest, offset)
            if count == 0 { throw SyscallError(.inputOutput, call: "preadv", on: "a disk that was cut short") }
            rest = rest.withoutFirstBytes(count)
            offset += UInt64(count)
        }
    }
}
