import LinuxSystem
import MachineMemory
import Synchronization
import Testing
import Virtio
import VirtioDriver

/// A device behind its window, driven as a guest's driver would.
final class DeviceFixture {
    static let buffers: UInt64 = 0x20_0000
    let memory: GuestMemory
    let thread: EventLoopThread
    let transport: MMIOTransport
    private let interrupts: Interrupts
    let queues: [DriverQueue]
    private let complaints: Complaints
    /// Given back by the device, and not asked for yet.
    private var unseen: [Int: [(head: UInt32, written: UInt32)]] = [:]

    final class Complaints: Sendable {
        let texts = Mutex<[String]>([])
    }

    private final class Interrupts: Sendable {
        let bell: Doorbell
        init() throws { bell = try Doorbell() }
    }

    private init(
        _ description: VirtioDeviceDescription,
        _ memory: GuestMemory,
        _ queues: [DriverQueue],
        _ make: @escaping @Sendable (VirtioDeviceContext) throws -> any VirtioDevice,
    ) throws {
        let complaints = Complaints()
        let interrupts = try Interrupts()
        self.interrupts = interrupts
        self.complaints = complaints
        self.memory = memory
        self.queues = queues
        thread = try EventLoopThread(name: "test-device")
        transport = try MMIOTransport(
            description,
            on: thread,
            memory: memory,
            signal: { interrupts.bell.ring() },
            report: { error in complaints.texts.withLock { $0.append("\(error)") } },
            make: make,
        )
    }

    deinit { thread.stop() }

    convenience init(
        _ description: VirtioDeviceDescription,
        negotiating choose: (VirtioFeatures) -> VirtioFeatures = { $0 },
        make: @escaping @Sendable (VirtioDeviceContext) throws -> any VirtioDevice,
    ) throws {
        let memory = try GuestMemory(MachineMemoryLayout(size: 64 << 20))
        let queues = description.queueSizes.indices.map {
            DriverQueue(memory, size: 16, base: 0x10_0000 + UInt64($0) * 0x3_0000)
        }
        try self.init(description, memory, queues, make)
        start(features: choose(description.features))
    }

    /// A new device in the place of another, over the same memory and with the same driver, from the other's encoded state.
    convenience init(
        replacing other: DeviceFixture,
        _ description: VirtioDeviceDescription,
        state: [UInt8],
        make: @escaping @Sendable (VirtioDeviceContext) throws -> any VirtioDevice,
    ) throws {
        try self.init(description, other.memory, other.queues, make)
        try transport.restore(MMIOTransport.State(decoding: state))
    }

    /// Stops the device for good and says where it stood.
    func suspendAndSave() throws -> MMIOTransport.State {
        try thread.suspend()
        return try transport.save()
    }

    /// Negotiates all that is offered, and sets up all queues.
    func start(features: VirtioFeatures) {
        write(0x70, 1)
        write(0x70, 3)
        for word in 0..<2 as Range<UInt64> {
            write(0x24, word)
            write(0x20, features.rawValue >> (32 * word) & 0xFFFF_FFFF)
        }
        write(0x70, 11)
        for (index, queue) in queues.enumerated() {
            write(0x30, UInt64(index))
            write(0x38, UInt64(queue.state.size))
            write(0x80, queue.state.descriptors)
            write(0x90, queue.state.driver)
            write(0xA0, queue.state.device)
            write(0x44, 1)
        }
        write(0x70, 15)
    }

    func write(_ offset: UInt64, _ value: UInt64) { transport.write(offset, value, count: 4) }
    func kick(_ queue: Int) { write(MMIOTransport.notifyOffset, UInt64(queue)) }
    var status: UInt64 { UInt64(read(0x70)) }
    /// A register, as the guest reads it.
    func read(_ offset: Int) -> UInt32 { transport.page.load(at: offset) }

    /// Waits until the device calls for its driver, 10 ms at most.
    func awaitInterrupt() throws {
        _ = try interrupts.bell.descriptor.waitUntilReadable(for: .milliseconds(10))
        interrupts.bell.answer()
    }

    /// Waits until the device asks for a kick for the request of that index.
    func untilKickIsAsked(_ queue: Int, forRequest index: UInt16) throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try queues[queue].kickEvent != index {
            guard ContinuousClock.now < deadline else { throw Silence() }
            try awaitInterrupt()
        }
    }

    /// Waits until the device has given back a request of a queue; the first of them.
    func used(_ queue: Int) throws -> (head: UInt32, written: UInt32) {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if let first = try takeUsed(queue) { return first }
            try awaitInterrupt()
        }
        throw Silence()
    }

    /// Waits until the device has given back something; all that it has by then.
    func allUsed(_ queue: Int) throws -> [(head: UInt32, written: UInt32)] {
        let first = try used(queue)
        defer { unseen[queue] = [] }
        return [first] + unseen[queue, default: []]
    }

    /// The next request of a queue that the device has given back; nil if there is none now.
    func takeUsed(_ queue: Int) throws -> (head: UInt32, written: UInt32)? {
        unseen[queue, default: []] += try queues[queue].takeUsed()
        guard let first = unseen[queue]?.first else { return nil }
        unseen[queue]?.removeFirst()
        return first
    }

    /// Waits until the device has stopped over something its driver did; what it said.
    func complaint() throws -> String {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if let text = complaints.texts.withLock({ $0.first }) { return text }
            try awaitInterrupt()
        }
        throw Silence()
    }

    struct Silence: Error {}
}
