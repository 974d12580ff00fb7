import MachineMemory
import Testing

@testable import Virtio

@Suite("Saved state") struct SavedStateTests {
    private static let description = VirtioDeviceDescription(
        kind: .network,
        queueSizes: [256, 128],
        configuration: [1, 2, 3],
        writableConfiguration: 1..<3,
    )

    /// Of a device whose driver is ready and has used both queues.
    private static let state: MMIOTransport.State = {
        var registers = MMIORegisters.State(queueCount: 2)
        registers.status = 15
        registers.driverFeatures = VirtioFeatures.transport.rawValue
        registers.queueSelect = 1
        for (index, size) in [256, 64].enumerated() as EnumeratedSequence<[UInt16]> {
            registers.queues[index].size = size
            registers.queues[index].isReady = true
            registers.queues[index].descriptors = 0x1_0000_0000
            registers.queues[index].driver = 0x2000
            registers.queues[index].device = 0x3000
            registers.queues[index].nextAvailable = 0xFFFF
            registers.queues[index].nextUsed = 0xFFFF
        }
        return MMIOTransport.State(
            kind: 1,
            configuration: [1, 2, 3],
            writtenConfiguration: [8, 9],
            configurationGeneration: 3,
            registers: registers,
            interruptStatus: 1,
            needsReset: false,
            device: [9, 8, 7],
        )
    }()

    @Test func `a state survives its encoding`() throws {
        let decoded = try MMIOTransport.State(decoding: Self.state.encoded)
        #expect(decoded == Self.state)
        try decoded.check(against: Self.description)
    }

    @Test func `a state that is cut anywhere, or longer, is refused`() {
        let bytes = Self.state.encoded
        for count in 0..<bytes.count {
            #expect(throws: SavedStateViolation.self) {
                try MMIOTransport.State(decoding: Array(bytes.prefix(count)))
            }
        }
        #expect(throws: SavedStateViolation.trailing(count: 1)) {
            try MMIOTransport.State(decoding: bytes + [0])
        }
    }

    @Test func `another version is refused`() {
        var bytes = Self.state.encoded
        bytes[0] = 2
        #expect(throws: SavedStateViolation.version(2, known: 1)) { try MMIOTransport.State(decoding: bytes) }
    }

    @Test func `a count is refused before anything is made of it`() {
        var reader = SavedStateReader([0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: SavedStateViolation.tooMany(0xFFFF_FFFF, limit: 10)) { try reader.bytes(limit: 10) }
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout MMIOTransport.State) -> Void
        let expected: RestoreViolation

        init(
            _ name: String,
            _ expected: RestoreViolation,
            _ change: @escaping @Sendable (inout MMIOTransport.State) -> Void,
        ) {
            testDescription = name
            self.expected = expected
            self.change = change
        }
    }

    private static let changes: [Change] = [
        Change("another kind of device", .kind(2, device: 1)) { $0.kind = 2 },
        Change("another configuration", .configuration(saved: [1], device: [1, 2, 3])) { $0.configuration = [1] },
        Change("less than the driver may write", .writtenConfiguration(count: 1)) { $0.writtenConfiguration = [1] },
        Change("DRIVER_OK without FEATURES_OK", .status(7)) { $0.registers.status = 7 },
        Change("DRIVER without ACKNOWLEDGE", .status(2)) { $0.registers.status = 2 },
        Change("an unknown bit", .status(15 | 64)) { $0.registers.status = 15 | 64 },
        Change("a feature that is not offered", .features(1 << 32 | 1, offered: VirtioFeatures.transport.rawValue)) {
            $0.registers.driverFeatures = 1 << 32 | 1
        },
        Change("no version 1", .features(0, offered: VirtioFeatures.transport.rawValue)) {
            $0.registers.driverFeatures = 0
        },
        Change("a queue too many", .queueCount(3, device: 2)) { $0.registers.queues.append(VirtQueue.State()) },
        Change("a queue that is too large", .queueSize(256, queue: 1)) { $0.registers.queues[1].size = 256 },
        Change("a queue of a size that is no power of two", .queueSize(48, queue: 1)) {
            $0.registers.queues[1].size = 48
        },
        Change("a ready queue of no size", .queueSize(0, queue: 1)) { $0.registers.queues[1].size = 0 },
        Change("a request under way", .queuePosition(available: 0, used: 0xFFFF, queue: 0)) {
            $0.registers.queues[0].nextAvailable = 0
        },
        Change("a queue that is not ready and was served", .queuePosition(available: 5, used: 5, queue: 0)) {
            $0.registers.queues[0].isReady = false
            $0.registers.queues[0].nextAvailable = 5
            $0.registers.queues[0].nextUsed = 5
        },
        Change("an unknown interrupt", .interruptStatus(4)) { $0.interruptStatus = 4 },
        Change("a driver without a device", .deviceState(isThere: false)) { $0.device = nil },
        Change("a stopped device with a state", .deviceState(isThere: true)) { $0.needsReset = true },
    ]

    @Test(arguments: changes) func `what no device could have been in is refused`(_ change: Change) {
        var state = Self.state
        change.change(&state)
        #expect(throws: change.expected) { try state.check(against: Self.description) }
    }

    @Test func `registers go on where they stood`() throws {
        var registers = MMIORegisters(Self.description)
        for (offset, value) in [(0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11), (0x30, 1), (0x38, 64)]
            as [(Int, UInt32)]
        {
            _ = registers.write(offset, value)
        }
        let bytes = registers.state.encoded
        var restored = try MMIORegisters(Self.description, restoring: MMIORegisters.State(decoding: bytes))
        #expect(restored == registers)
        _ = restored.write(0x44, 1)
        #expect(restored.read(0x44) == 1)
        guard case .activate(let queues, let features) = restored.write(0x70, 15) else {
            Issue.record("it was not activated")
            return
        }
        #expect(features == .version1)
        #expect(queues.map(\.isReady) == [false, true])
    }

    @Test func `what the driver wrote into the configuration is there again`() throws {
        let space = ConfigurationSpace([1, 2, 3, 4], writable: 1..<3, in: try RegisterPage())
        space.write(0, 0x0D0C_0B0A, count: 4)
        #expect(space.written == [0x0B, 0x0C])
        let page = try RegisterPage()
        let other = ConfigurationSpace([1, 2, 3, 4], writable: 1..<3, in: page)
        other.restore(written: space.written, generation: 7)
        #expect(page.load(UInt32.self, at: 0x100) == 0x040C_0B01)
        #expect(other.generation == 7)
    }

    @Test func `random changes never trap`() {
        let bytes = Self.state.encoded
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var changed = bytes
            changed[Int.random(in: 0..<changed.count, using: &random)] = random.next()
            guard let state = try? MMIOTransport.State(decoding: changed) else { continue }
            #expect(state.encoded == changed)
            try? state.check(against: Self.description)
        }
    }
}
