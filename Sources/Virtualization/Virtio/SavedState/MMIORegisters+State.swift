extension MMIORegisters {
    /// Everything that a driver has written.
    package struct State: SavedState {
        package static let version: UInt16 = 1
        private static let maxQueues = 64

        package var status: UInt32 = 0
        package var deviceFeaturesSelect: UInt32 = 0
        package var driverFeaturesSelect: UInt32 = 0
        package var driverFeatures: UInt64 = 0
        package var queueSelect: UInt32 = 0
        package var queues: [VirtQueue.State]

        init(queueCount: Int) {
            queues = Array(repeating: VirtQueue.State(), count: queueCount)
        }

        package func write(to writer: inout SavedStateWriter) {
            for value in [status, deviceFeaturesSelect, driverFeaturesSelect, queueSelect] {
                writer.append(value)
            }
            writer.append(driverFeatures)
            writer.append(queues) { $0.append($1) }
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            status = try reader.integer()
            deviceFeaturesSelect = try reader.integer()
            driverFeaturesSelect = try reader.integer()
            queueSelect = try reader.integer()
            driverFeatures = try reader.integer()
            queues = try reader.list(limit: Self.maxQueues) { reader throws(SavedStateViolation) in
                try reader.state()
            }
        }

        private func has(_ bit: UInt32) -> Bool { status & bit != 0 }

        func check(against description: VirtioDeviceDescription) throws(RestoreViolation) {
            let known =
                Status.acknowledge | Status.driver | Status.featuresOK | Status.driverOK | Status.failed
            // Each bit needs the one before it.
            guard status & ~known == 0, has(Status.acknowledge) || !has(Status.driver),
                has(Status.driver) || !has(Status.featuresOK), has(Status.featuresOK) || !has(Status.driverOK)
            else { throw .status(status) }
            let accepted = VirtioFeatures(rawValue: driverFeatures)
            if has(Status.featuresOK) {
                guard description.features.isSuperset(of: accepted), accepted.contains(.version1) else {
                    throw .features(driverFeatures, offered: description.features.rawValue)
                }
            }
            guard queues.count == description.queueSizes.count else {
                throw .queueCount(queues.count, device: description.queueSizes.count)
            }
            for (index, queue) in queues.enumerated() {
                try check(queue, index, maxSize: description.queueSizes[index])
            }
        }

        private func check(_ queue: VirtQueue.State, _ index: Int, maxSize: UInt16) throws(RestoreViolation) {
            let size = queue.size
            guard size <= maxSize, size & (size &- 1) == 0, size > 0 || !queue.isReady else {
                throw .queueSize(size, queue: index)
            }
            let isServed = queue.isReady && has(Status.driverOK)
            guard queue.nextAvailable == queue.nextUsed, isServed || queue.nextUsed == 0 else {
                throw .queuePosition(available: queue.nextAvailable, used: queue.nextUsed, queue: index)
            }
        }
    }
}
