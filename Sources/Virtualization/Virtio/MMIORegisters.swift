/// The registers of one device and the order in which a driver may write them (virtio 1.2, sections 3.1 and 4.2.2).
///
/// A value without I/O: a write answers with what the device is to do.
package struct MMIORegisters: Hashable, Sendable {
    /// Bits of the status register (section 2.1).
    enum Status {
        static let acknowledge: UInt32 = 1
        static let driver: UInt32 = 2
        static let driverOK: UInt32 = 4
        static let featuresOK: UInt32 = 8
        static let needsReset: UInt32 = 64
        static let failed: UInt32 = 128
    }

    /// Where registers are that others than this value know of, in the window.
    enum Offset {
        static let queueNotify = 0x50
        static let interruptStatus = 0x60
        static let interruptAcknowledge = 0x64
        static let status = 0x70
        static let configurationGeneration = 0xFC
        static let configuration = 0x100
    }

    /// What can be read and follows from what the driver has written alone.
    static let readable = [0x00, 0x04, 0x08, 0x0C, 0x10, 0x34, 0x44, 0xB0, 0xB4, 0xB8, 0xBC]

    enum Action: Hashable, Sendable {
        case none
        case reset
        case activate([VirtQueue.State], VirtioFeatures)
    }

    private(set) var state: State
    private let kind: VirtioDeviceKind
    private let features: VirtioFeatures
    private let queueSizes: [UInt16]

    init(_ description: VirtioDeviceDescription) {
        kind = description.kind
        features = description.features
        queueSizes = description.queueSizes
        state = State(queueCount: queueSizes.count)
    }

    /// Those that a driver had filled in before.
    init(_ description: VirtioDeviceDescription, restoring state: State) throws(RestoreViolation) {
        try state.check(against: description)
        self.init(description)
        self.state = state
    }

    /// Nil for a queue that there is not.
    private var selectedQueue: Int? {
        Int(exactly: state.queueSelect).flatMap { state.queues.indices.contains($0) ? $0 : nil }
    }

    /// The value of one of `readable`; or the status, but for whether the device needs a reset.
    func read(_ offset: Int) -> UInt32 {
        switch offset {
        case 0x00: 0x7472_6976  // "virt"
        case 0x04: 2
        case 0x08: kind.rawValue
        case 0x0C: 0x4256_4F56  // "VOVB", the vendor.
        case 0x10: Self.word(features.rawValue, state.deviceFeaturesSelect)
        case 0x34: selectedQueue.map { UInt32(queueSizes[$0]) } ?? 0
        case 0x44: selectedQueue.map { state.queues[$0].isReady ? 1 : 0 } ?? 0
        case Offset.status: state.status
        // No shared memory: length and base are all ones.
        case 0xB0, 0xB4, 0xB8, 0xBC: .max
        default: 0
        }
    }

    private static func word(_ value: UInt64, _ select: UInt32) -> UInt32 {
        select > 1 ? 0 : UInt32(truncatingIfNeeded: value >> (32 * UInt64(select)))
    }

    /// What is no register, and what is not allowed now, is ignored.
    mutating func write(_ offset: Int, _ value: UInt32) -> Action {
        switch offset {
        case 0x14: state.deviceFeaturesSelect = value
        case 0x20: setDriverFeatures(value)
        case 0x24: state.driverFeaturesSelect = value
        case 0x30: state.queueSelect = value
        case Offset.status: return setStatus(value)
        default: setQueue(offset, value)
        }
        return .none
    }

    private mutating func setDriverFeatures(_ value: UInt32) {
        guard state.status & Status.driver != 0, state.status & Status.featuresOK == 0, state.driverFeaturesSelect <= 1
        else { return }
        let shift = 32 * UInt64(state.driverFeaturesSelect)
        state.driverFeatures = state.driverFeatures & ~(0xFFFF_FFFF << shift) | UInt64(value) << shift
    }

    private mutating func setQueue(_ offset: Int, _ value: UInt32) {
        // Features first, and never under a running device.
        guard let index = selectedQueue, state.status & Status.featuresOK != 0, state.status & Status.driverOK == 0
        else { return }
        var queue = state.queues[index]
        // A queue that is ready keeps its place until it is taken out again.
        if offset == 0x44 {
            queue.isReady = value & 1 != 0 && queue.size > 0
        } else if !queue.isReady {
            switch offset {
            case 0x38:
                // Anything else leaves it without a size, and so never ready.
                let isPossible = value > 0 && value <= UInt32(queueSizes[index]) && value & (value - 1) == 0
                queue.size = isPossible ? UInt16(value) : 0
            case 0x80: queue.descriptors.setLow(value)
            case 0x84: queue.descriptors.setHigh(value)
            case 0x90: queue.driver.setLow(value)
            case 0x94: queue.driver.setHigh(value)
            case 0xA0: queue.device.setLow(value)
            case 0xA4: queue.device.setHigh(value)
            default: break
            }
        }
        state.queues[index] = queue
    }

    private mutating func setStatus(_ value: UInt32) -> Action {
        if value == 0 {
            // What is selected outlives a reset.
            state.status = 0
            state.queues = State(queueCount: queueSizes.count).queues
            state.driverFeatures = 0
            return .reset
        }
        // Bits are only ever added.
        guard value & state.status == state.status else { return .none }
        let added = value & ~state.status
        if added & Status.failed != 0 { state.status |= Status.failed }
        if added & Status.acknowledge != 0 { state.status |= Status.acknowledge }
        if added & Status.driver != 0, state.status & Status.acknowledge != 0 { state.status |= Status.driver }
        let accepted = VirtioFeatures(rawValue: state.driverFeatures)
        if added & Status.featuresOK != 0, state.status & Status.driver != 0, features.isSuperset(of: accepted),
            accepted.contains(.version1)
        {
            state.status |= Status.featuresOK
        }
        guard added & Status.driverOK != 0, state.status & Status.featuresOK != 0, state.status & Status.failed == 0
        else {
            return .none
        }
        state.status |= Status.driverOK
        return .activate(state.queues, accepted)
    }
}

extension UInt64 {
    fileprivate mutating func setLow(_ value: UInt32) { self = self & ~0xFFFF_FFFF | UInt64(value) }
    fileprivate mutating func setHigh(_ value: UInt32) { self = self & 0xFFFF_FFFF | UInt64(value) << 32 }
}
