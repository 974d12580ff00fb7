import LinuxSystem
import MachineMemory
import Synchronization
import Testing

@testable import Virtio

@Suite("Window over MMIO", .timeLimit(.minutes(1))) struct MMIOTransportTests {
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

    @Test func `of two processors that start and reset a device the last one decides`() async throws {
        let faults = Faults()
        let transport = try MMIOTransport(
            VirtioDeviceDescription(kind: .entropy, queueSizes: [8]),
            on: try EventLoopThread(name: "test-device"),
            memory: try GuestMemory(MachineMemoryLayout(size: 1 << 20)),
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
