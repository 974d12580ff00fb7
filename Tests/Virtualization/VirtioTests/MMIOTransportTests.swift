import LinuxSystem
import MachineMemory
import Synchronization
import Testing

@testable import Virtio

@Suite("Window over MMIO", .timeLimit(.minutes(10))) struct MMIOTransportTests {
    /// How often a device was started while it served, which is never right.
    private final class Faults: Sendable {
        let count = Atomic<Int>(0)
    }

    private final class Device: VirtioDevice {
        private let faults: Faults
        private var isActive = false

        init(_ faults: Faults) {
            self.faults = faults
        }

        func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {
            if isActive { faults.count.add(1, ordering: .relaxed) }
            isActive = true
        }

        func notified(queue: Int) {}
        func reset() { isActive = false }
    }

    /// Tells of each kick.
    private final class Listener: VirtioDevice {
        private let kicks: Kicks

        init(_ kicks: Kicks) {
            self.kicks = kicks
        }

        func activate(_ queues: [VirtQueue?], features: VirtioFeatures) {}
        func reset() {}

        func notified(queue: Int) {
            kicks.count.add(1, ordering: .relaxed)
            kicks.bell.ring()
        }
    }

    private final class Kicks: Sendable {
        let count = Atomic<Int>(0)
        let bell: Doorbell
        init() throws { bell = try Doorbell() }
    }

    @Test func `kicks without end that bring nothing leave the device's thread at rest, and none is lost`() throws {
        let kicks = try Kicks()
        let transport = try MMIOTransport(
            VirtioDeviceDescription(kind: .entropy, queueSizes: [8]),
            on: try EventLoopThread(name: "test-device"),
            memory: try GuestMemory(MachineMemoryLayout(size: 1 << 20)),
            signal: {},
            report: { _ in },
            make: { _ in Listener(kicks) },
        )
        for (register, value) in [(0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11), (0x70, 15)] {
            transport.write(UInt64(register), UInt64(value), count: 4)
        }
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .milliseconds(200) {
            transport.write(MMIOTransport.notifyOffset, 0, count: 4)
        }
        let milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
        #expect(kicks.count.load(ordering: .relaxed) < 100 + 2 * milliseconds)
        for _ in 0..<100 {
            kicks.bell.answer()
            let before = kicks.count.load(ordering: .relaxed)
            transport.write(MMIOTransport.notifyOffset, 0, count: 4)
            while kicks.count.load(ordering: .relaxed) == before { try kicks.bell.wait() }
        }
    }

    @Test func `a guest reads what its writes have left, and the reset takes it away`() throws {
        let signals = Faults()
        let transport = try MMIOTransport(
            VirtioDeviceDescription(kind: .entropy, queueSizes: [8], configuration: [1, 2, 3, 4]),
            on: try EventLoopThread(name: "test-device"),
            memory: try GuestMemory(MachineMemoryLayout(size: 1 << 20)),
            signal: { signals.count.add(1, ordering: .relaxed) },
            report: { _ in },
            make: { _ in Device(Faults()) },
        )
        func read(_ offset: Int) -> UInt32 { transport.page.load(at: offset) }
        #expect([read(0x00), read(0x04), read(0x08)] == [0x7472_6976, 2, 4])
        #expect(read(0x100) == 0x0403_0201)
        #expect(read(0x34) == 8)
        transport.write(0x30, 1, count: 4)
        #expect(read(0x34) == 0, "there is one queue")
        for (register, value) in [(0x70, 3), (0x14, 1), (0x24, 1), (0x20, 1), (0x70, 11), (0x70, 15)] {
            transport.write(UInt64(register), UInt64(value), count: 4)
        }
        #expect([read(0x10), read(0x70)] == [1, 15])
        transport.interrupt.requestReset()
        #expect([read(0x60), read(0x70)] == [2, 15 | 64])
        #expect(signals.count.load(ordering: .relaxed) == 1)
        transport.write(0x24, 0, count: 4)
        #expect(read(0x70) == 15 | 64, "what the device says stays, whatever the driver writes")
        transport.interrupt.raise(.usedBuffer)
        transport.write(0x64, 2, count: 4)
        #expect(read(0x60) == 1)
        transport.write(0x70, 0, count: 4)
        #expect([read(0x60), read(0x70)] == [0, 0])
    }

    @Test func `of two processors that start and reset a device the last one decides`() async throws {
        let faults = Faults()
        let transport = try MMIOTransport(
            VirtioDeviceDescription(kind: .entropy, queueSizes: [8]),
            on: try EventLoopThread(name: "test-device"),
            memory: try GuestMemory(MachineMemoryLayout(size: 1 << 20)),
            signal: {},
            report: { _ in },
            make: { _ in Device(faults) },
        )
        await withTaskGroup { group in
            for _ in 0..<2 {
                group.addTask {
                    for _ in 0..<5000 {
                        for (register, value) in [(0x70, 0), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11), (0x70, 15)] {
                            transport.write(UInt64(register), UInt64(value), count: 4)
                        }
                    }
                }
            }
        }
        transport.write(0x70, 0, count: 4)
        #expect(faults.count.load(ordering: .relaxed) == 0)
    }
}
