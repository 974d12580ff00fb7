import MachineMemory
import Testing
import VirtioDriver

@testable import Virtio

@Suite("Virtqueue") struct VirtQueueTests {
    typealias Descriptor = DriverQueue.Descriptor

    /// 1 MiB of memory, rings at 64 KiB, buffers from 512 KiB on.
    private static let buffers: UInt64 = 0x8_0000
    private let memory: GuestMemory
    private let driver: DriverQueue

    init() throws {
        memory = try GuestMemory(MachineMemoryLayout(size: 1 << 20))
        driver = DriverQueue(memory, size: 8, base: 0x1_0000)
    }

    @Test func `a chain arrives with its buffers in order and goes back with its length`() throws {
        let queue = try driver.device()
        try memory.write(Array("hello ".utf8), at: GuestAddress(Self.buffers))
        try memory.write(Array("box".utf8), at: GuestAddress(Self.buffers + 100))
        let head = try driver.offer(
            readable: [(Self.buffers, 6), (Self.buffers + 100, 3)],
            writable: [(Self.buffers + 200, 4), (Self.buffers + 300, 4)],
        )
        let chain = try #require(try queue.next())
        #expect(chain.head == head)
        #expect(chain.read(upTo: 100) == Array("hello box".utf8))
        #expect(chain.read(upTo: 7) == Array("hello b".utf8))
        #expect(chain.write(Array("123456".utf8)) == 6)
        queue.finish(chain, written: 6)
        let used = try driver.takeUsed()
        #expect(used.map(\.written) == [6])
        #expect(used.map(\.head) == [UInt32(head)])
        #expect(try memory.read(4, at: GuestAddress(Self.buffers + 200)) == Array("1234".utf8))
        #expect(try memory.read(2, at: GuestAddress(Self.buffers + 300)) == Array("56".utf8))
        #expect(try queue.next() == nil)
    }

    @Test func `indices wrap around at 2^16`() throws {
        let queue = try driver.device()
        for round in 0..<70_000 {
            try driver.offer(readable: [(Self.buffers, 1)])
            let chain = try #require(try queue.next(), "round \(round)")
            queue.finish(chain, written: 0)
            _ = try driver.takeUsed()
        }
        #expect(queue.state.nextAvailable == UInt16(truncatingIfNeeded: 70_000))
    }

    @Test func `a request that is put back comes again`() throws {
        let queue = try driver.device()
        let head = try driver.offer(readable: [(Self.buffers, 1)])
        _ = try queue.next()
        queue.putBack()
        #expect(try queue.next()?.head == head)
    }

    @Test func `a saved queue goes on where it was`() throws {
        let queue = try driver.device()
        try driver.offer(readable: [(Self.buffers, 1)])
        let second = try driver.offer(readable: [(Self.buffers, 2)])
        let chain = try #require(try queue.next())
        queue.finish(chain, written: 0)
        let restored = try VirtQueue(queue.state, features: .transport, memory: memory)
        #expect(try restored.next()?.head == second)
    }

    @Test func `an indirect table is walked like the ring's own`() throws {
        let queue = try driver.device()
        let table = Self.buffers + 0x1000
        try driver.setDescriptor(0, Descriptor(Self.buffers, 5, Descriptor.next, next: 2), table: table)
        try driver.setDescriptor(2, Descriptor(Self.buffers + 8, 3, Descriptor.write), table: table)
        try driver.setDescriptor(0, Descriptor(table, 48, Descriptor.indirect))
        try driver.offer(0)
        let chain = try #require(try queue.next())
        #expect(chain.readableCount == 5)
        #expect(chain.writableCount == 3)
    }

    // MARK: Interrupts

    @Test func `without event index the driver's flag decides`() throws {
        let queue = try driver.device([.version1])
        try driver.offer(readable: [(Self.buffers, 1)])
        let chain = try #require(try queue.next())
        queue.finish(chain, written: 0)
        #expect(queue.takesInterrupt())
        #expect(!queue.takesInterrupt(), "nothing new")
        try memory.store(UInt16(1), at: GuestAddress(driver.state.driver))
        queue.finish(chain, written: 0)
        #expect(!queue.takesInterrupt())
    }

    @Test func `with event index the driver names the request it waits for`() throws {
        let queue = try driver.device()
        let event = GuestAddress(driver.state.driver + 4 + 2 * 8)
        try memory.store(UInt16(2), at: event)
        for _ in 0..<4 { try driver.offer(readable: [(Self.buffers, 1)]) }
        var interrupts: [Bool] = []
        while let chain = try queue.next() {
            queue.finish(chain, written: 0)
            interrupts.append(queue.takesInterrupt())
        }
        #expect(interrupts == [false, false, true, false])
    }

    @Test func `awaiting tells of what came meanwhile`() throws {
        let queue = try driver.device()
        #expect(!queue.awaitRequest())
        try driver.offer(readable: [(Self.buffers, 1)])
        #expect(queue.awaitRequest())
        // The index from which on the driver is to kick.
        #expect(try driver.kickEvent == 0)
    }

    // MARK: A driver that breaks the rules

    struct Attack: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let descriptors: [(UInt16, address: UInt64, count: UInt32, flags: UInt16, next: UInt16)]
        let violation: VirtQueue.Violation
    }

    private static let end: UInt64 = 1 << 20

    static let attacks: [Attack] = [
        Attack(
            testDescription: "a loop",
            descriptors: [(0, buffers, 1, 1, 1), (1, buffers, 1, 1, 0)],
            violation: .chainTooLong,
        ),
        Attack(
            testDescription: "a chain onto itself",
            descriptors: [(0, buffers, 1, 1, 0)],
            violation: .chainTooLong,
        ),
        Attack(
            testDescription: "a next beyond the queue",
            descriptors: [(0, buffers, 1, 1, 8)],
            violation: .nextOutOfRange(8),
        ),
        Attack(
            testDescription: "a buffer across the end of memory",
            descriptors: [(0, end - 4, 8, 0, 0)],
            violation: .buffer(MemoryViolation(address: GuestAddress(end - 4), count: 8)),
        ),
        Attack(
            testDescription: "a buffer in the gap for devices",
            descriptors: [(0, 0xD000_0000, 8, 2, 0)],
            violation: .buffer(MemoryViolation(address: GuestAddress(0xD000_0000), count: 8)),
        ),
        Attack(
            testDescription: "a buffer at the end of the address space",
            descriptors: [(0, .max, 8, 2, 0)],
            violation: .buffer(MemoryViolation(address: GuestAddress(.max), count: 8)),
        ),
        Attack(
            testDescription: "an empty buffer",
            descriptors: [(0, buffers, 0, 0, 0)],
            violation: .emptyBuffer,
        ),
        Attack(
            testDescription: "a readable buffer behind a writable one",
            descriptors: [(0, buffers, 1, 3, 1), (1, buffers, 1, 0, 0)],
            violation: .readableAfterWritable,
        ),
        Attack(
            testDescription: "an indirect table with a next",
            descriptors: [(0, buffers, 16, 5, 1)],
            violation: .indirectWithNext,
        ),
        Attack(
            testDescription: "an indirect table of no whole descriptors",
            descriptors: [(0, buffers, 17, 4, 0)],
            violation: .indirectTable(count: 17),
        ),
        Attack(
            testDescription: "an indirect table of size zero",
            descriptors: [(0, buffers, 0, 4, 0)],
            violation: .indirectTable(count: 0),
        ),
    ]

    @Test(arguments: attacks)
    func `a malformed chain is a violation before anything is done with it`(_ attack: Attack) throws {
        let queue = try driver.device()
        for (index, address, count, flags, next) in attack.descriptors {
            try driver.setDescriptor(index, Descriptor(address, count, flags, next: next))
        }
        try driver.offer(0)
        #expect(throws: attack.violation) { _ = try queue.next() }
        #expect(try driver.takeUsed().isEmpty)
    }

    @Test func `an indirect table inside an indirect table is refused, and one that loops`() throws {
        let queue = try driver.device()
        let table = Self.buffers + 0x1000
        try driver.setDescriptor(0, Descriptor(table, 16, Descriptor.indirect))
        try driver.setDescriptor(0, Descriptor(Self.buffers, 16, Descriptor.indirect), table: table)
        try driver.offer(0)
        #expect(throws: VirtQueue.Violation.indirectInsideIndirect) { _ = try queue.next() }
        try driver.setDescriptor(0, Descriptor(Self.buffers, 16, Descriptor.next, next: 0), table: table)
        #expect(throws: VirtQueue.Violation.chainTooLong) { _ = try queue.next() }
    }

    @Test func `an indirect table without the feature is refused`() throws {
        let queue = try driver.device([.version1])
        try driver.setDescriptor(0, Descriptor(Self.buffers, 16, Descriptor.indirect))
        try driver.offer(0)
        #expect(throws: VirtQueue.Violation.indirectNotNegotiated) { _ = try queue.next() }
    }

    @Test func `an index that jumps is a violation, and so is a head beyond the queue`() throws {
        let queue = try driver.device()
        try driver.setAvailableIndex(9)
        #expect(throws: VirtQueue.Violation.availableIndexJump(from: 0, to: 9)) { _ = try queue.next() }
        try driver.setAvailableIndex(0)
        try driver.offer(200)
        #expect(throws: VirtQueue.Violation.headOutOfRange(200)) { _ = try queue.next() }
    }

    @Test(arguments: [0, 3, 65535] as [UInt16])
    func `a size that is no power of two is refused`(_ size: UInt16) throws {
        var state = driver.state
        state.size = size
        #expect(throws: VirtQueue.Violation.size(size)) {
            _ = try VirtQueue(state, features: .transport, memory: memory)
        }
    }

    @Test func `rings outside memory or out of line are refused`() throws {
        for change in [
            { $0.descriptors = (1 << 20) - 64 }, { $0.driver = .max - 1 }, { $0.device = 0xD000_0000 },
            { $0.descriptors += 8 }, { $0.driver += 1 }, { $0.device += 2 },
        ] as [(inout VirtQueue.State) -> Void] {
            var state = driver.state
            change(&state)
            #expect(throws: VirtQueue.Violation.self) {
                _ = try VirtQueue(state, features: .transport, memory: memory)
            }
        }
    }

    @Test func `random rings never do more than throw`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let queue = try driver.device()
            for index in 0..<UInt16(8) {
                let place =
                    UInt64.random(in: 0..<4, using: &random) == 0
                    ? random.next() : UInt64(random.next() as UInt32) % Self.end
                try driver.setDescriptor(
                    index,
                    Descriptor(place, random.next() % 70_000, random.next() % 8, next: random.next() % 10),
                )
            }
            try driver.setAvailableIndex(random.next() % 12)
            // Whatever it is, it is an error or a chain inside memory.
            while let chain = try? queue.next() { _ = chain.read(upTo: 64) }
        }
    }
}
