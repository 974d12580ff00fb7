import Testing

@testable import Virtio

@Suite("Registers over MMIO") struct MMIORegistersTests {
    private static let description = VirtioDeviceDescription(kind: .entropy, queueSizes: [64, 16])
    private var registers = MMIORegisters(description)

    /// Offsets of section 4.2.2.
    private enum Register {
        static let deviceFeatures = 0x10
        static let deviceFeaturesSelect = 0x14
        static let driverFeatures = 0x20
        static let driverFeaturesSelect = 0x24
        static let queueSelect = 0x30
        static let queueSizeMax = 0x34
        static let queueSize = 0x38
        static let queueReady = 0x44
        static let status = 0x70
        static let descriptorsLow = 0x80
        static let descriptorsHigh = 0x84
    }

    private func read(_ offset: Int) -> UInt32 { registers.read(offset) }

    /// Up to FEATURES_OK, with version 1.
    private mutating func negotiate() {
        _ = registers.write(Register.status, 1)
        _ = registers.write(Register.status, 3)
        _ = registers.write(Register.driverFeaturesSelect, 1)
        _ = registers.write(Register.driverFeatures, 1)
        _ = registers.write(Register.status, 11)
    }

    @Test func `the window says what it is`() {
        #expect(read(0) == 0x7472_6976)
        #expect(read(4) == 2)
        #expect(read(8) == 4)
        #expect(read(Register.queueSizeMax) == 64)
    }

    @Test mutating func `features are offered in two words`() {
        _ = registers.write(Register.deviceFeaturesSelect, 0)
        #expect(read(Register.deviceFeatures) == 0x3000_0000)
        _ = registers.write(Register.deviceFeaturesSelect, 1)
        #expect(read(Register.deviceFeatures) == 1)
        _ = registers.write(Register.deviceFeaturesSelect, 2)
        #expect(read(Register.deviceFeatures) == 0)
    }

    @Test mutating func `a driver that does all in order gets its device`() {
        negotiate()
        #expect(read(Register.status) == 11)
        _ = registers.write(Register.queueSelect, 1)
        _ = registers.write(Register.queueSize, 16)
        _ = registers.write(Register.descriptorsLow, 0x1000)
        _ = registers.write(Register.descriptorsHigh, 1)
        _ = registers.write(Register.queueReady, 1)
        #expect(read(Register.queueReady) == 1)
        guard case .activate(let queues, let features) = registers.write(Register.status, 15) else {
            Issue.record("it was not activated")
            return
        }
        #expect(features == .version1)
        #expect(queues.map(\.isReady) == [false, true])
        #expect(queues[1].descriptors == 0x1_0000_1000)
        #expect(queues[1].size == 16)
    }

    @Test mutating func `features that were not offered are not accepted`() {
        _ = registers.write(Register.status, 3)
        _ = registers.write(Register.driverFeaturesSelect, 0)
        _ = registers.write(Register.driverFeatures, 1)
        _ = registers.write(Register.driverFeaturesSelect, 1)
        _ = registers.write(Register.driverFeatures, 1)
        _ = registers.write(Register.status, 11)
        #expect(read(Register.status) == 3)
        #expect(registers.write(Register.status, 15) == .none)
    }

    @Test mutating func `a driver without version 1 is not accepted`() {
        _ = registers.write(Register.status, 3)
        _ = registers.write(Register.status, 11)
        #expect(read(Register.status) == 3)
    }

    @Test mutating func `bits of the status are never taken back one by one`() {
        negotiate()
        #expect(registers.write(Register.status, 1) == .none)
        #expect(read(Register.status) == 11)
    }

    @Test mutating func `nothing of a queue changes under a running device`() {
        negotiate()
        _ = registers.write(Register.queueSize, 32)
        _ = registers.write(Register.descriptorsLow, 0x1000)
        _ = registers.write(Register.queueReady, 1)
        _ = registers.write(Register.status, 15)
        let before = registers.state.queues
        for offset in stride(from: 0x38, to: 0x100, by: 4) where offset != Register.status {
            _ = registers.write(offset, 7)
        }
        #expect(registers.state.queues == before)
        #expect(registers.write(Register.status, 15) == .none, "it is active already")
    }

    @Test(arguments: [0, 3, 128, 65536, .max] as [UInt32])
    mutating func `a size that the queue cannot have leaves it without one`(_ size: UInt32) {
        negotiate()
        _ = registers.write(Register.queueSize, size)
        _ = registers.write(Register.queueReady, 1)
        #expect(registers.state.queues[0].size == 0)
        #expect(!registers.state.queues[0].isReady)
    }

    @Test mutating func `a queue that there is not is neither read nor written`() {
        negotiate()
        _ = registers.write(Register.queueSelect, 2)
        #expect(read(Register.queueSizeMax) == 0)
        _ = registers.write(Register.queueSize, 8)
        _ = registers.write(Register.queueReady, 1)
        #expect(registers.state.queues.allSatisfy { $0.size == 0 })
    }

    @Test mutating func `zero resets everything`() {
        negotiate()
        _ = registers.write(Register.queueSize, 32)
        #expect(registers.write(Register.status, 0) == .reset)
        #expect(read(Register.status) == 0)
        #expect(registers.state.queues.allSatisfy { $0 == VirtQueue.State() })
        #expect(registers.write(Register.status, 0) == .reset)
    }

    @Test mutating func `random writes never trap, and activate only after negotiation`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<100_000 {
            let offset = Int(random.next() as UInt8) & ~3
            let action = registers.write(offset, Bool.random(using: &random) ? random.next() : random.next() % 16)
            if case .activate(_, let features) = action { #expect(features.contains(.version1)) }
            _ = read(offset)
        }
    }
}
