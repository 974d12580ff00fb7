import LinuxSystem
import MachineMemory
import Primitives
import VirtioDevices
import VirtioDriver

@testable import Virtio

extension FuzzTarget {
    /// The first byte chooses device and features; then come what a driver does, and what the host's side of the device does.
    static let virtioDevices = FuzzTarget("virtio-devices") { bytes in
        var input = InputReader(bytes)
        guard let bench = try? DeviceBench(input.byte()) else { fatalError("there is no device to drive") }
        while !input.isAtEnd { bench.step(&input) }
    }
}

/// A device without threads, driven as a hostile guest would.
private final class DeviceBench {
    private enum Place {
        static let memory: UInt64 = 2 << 20
        static let buffers: UInt64 = 0x10_0000
    }

    private let memory: GuestMemory
    private let context: VirtioDeviceContext
    private let features: VirtioFeatures
    private let device: any VirtioDevice
    private let host: OwnedFD
    private var drivers: [DriverQueue] = []
    private var queueCount = 0

    init(_ choice: UInt8) throws {
        memory = try GuestMemory(MachineMemoryLayout(size: Place.memory))
        let network = NetworkDevice.description(mac: .ofGuest)
        let page = try RegisterPage()
        context = VirtioDeviceContext(
            loop: try EventLoop(),
            memory: memory,
            interrupt: VirtioInterrupt(page) {},
            configuration: ConfigurationSpace(network.configuration, writable: 0..<0, in: page),
        )
        let (near, far) = try OwnedFD.socketPair(nonBlocking: true).relinquish()
        host = OwnedFD(adopting: near)
        let stream = OwnedFD(adopting: far)
        let description: VirtioDeviceDescription
        switch choice & 0x33 {
        case 0:
            description = EntropyDevice.description
            device = EntropyDevice(context)
        case 1:
            description = ConsoleDevice.description(portCount: 1)
            device = try ConsoleDevice(context, ports: [("port", stream.duplicate().relinquish())])
        case 0x10...0x13:
            description = network
            device = try NetworkDevice(context, stream: stream.duplicate().relinquish())
        case 0x20...0x23:
            description = BalloonDevice.description
            device = BalloonDevice(context)
        case 0x30...0x33:
            description = VsockDevice.description(guestCID: 3)
            // Nobody can be accepted from it, and what it says is no answer to a dial.
            device = try VsockDevice(context, guestCID: 3, listener: stream.duplicate(), dialler: stream.duplicate())
        default:
            let contents = [UInt8](repeating: 7, count: 4096)
            let disk = BlockDevice.Disk(serial: "fuzz", size: 4096, isReadOnly: choice & 1 != 0)
            description = BlockDevice.description(disk)
            device = BlockDevice(context, disk, file: try OwnedFD.memoryFile(named: "fuzz", contents: contents))
        }
        var features = description.features
        if choice & 4 != 0 { features.remove(.indirectDescriptors) }
        if choice & 8 != 0 { features.remove(.eventIndex) }
        self.features = features
        queueCount = description.queueSizes.count
        restart()
    }

    private func restart() {
        device.reset()
        drivers = (0..<queueCount).map { DriverQueue(memory, size: 8, base: UInt64($0) * 0x3_0000) }
        attempt { try device.activate(drivers.map { try $0.device(features) }, features: features) }
    }

    /// A rule that is broken ends in a reset, as on a machine.
    private func attempt(_ body: () throws -> Void) {
        if (try? body()) == nil { restart() }
    }

    func step(_ input: inout InputReader) {
        let code = input.byte()
        let index = Int(input.byte()) % drivers.count
        let queue = drivers[index]
        switch code % 8 {
        case 0:
            let place = Place.buffers + UInt64(input.integer(UInt16.self))
            try? memory.write(input.bytes(Int(input.byte())), at: GuestAddress(place))
        case 1:
            let place = Self.address(&input)
            let count = UInt32(input.integer(UInt16.self)) << (input.byte() % 17)
            let flags = UInt16(input.byte())
            let entry = DriverQueue.Descriptor(place, count, flags, next: UInt16(input.byte() % 10))
            let table = code & 0x80 == 0 ? nil : Place.buffers
            try? queue.setDescriptor(UInt16(input.byte() % 8), entry, table: table)
        case 2: try? queue.offer(UInt16(input.byte() % 10))
        case 3: try? queue.setAvailableIndex(input.integer())
        case 4: attempt { try device.notified(queue: index) }
        case 5: restart()
        case 6: _ = try? host.write(input.bytes(Int(input.byte()))[...])
        default:
            _ = try? host.read(upTo: 65536)
            if code & 0x80 != 0 { try? host.shutDown() }
        }
        if code & 0x40 != 0 { turn() }
    }

    private static func address(_ input: inout InputReader) -> UInt64 {
        let offset = UInt64(input.integer(UInt16.self))
        switch input.byte() % 8 {
        case 0: return offset
        case 1: return Place.memory - offset
        case 2: return .max - offset
        case 3: return MachineMemoryLayout.gap.lowerBound + offset
        default: return Place.buffers + offset
        }
    }

    /// What the host's side has brought about.
    private func turn() {
        let loop = context.loop
        _ = loop.schedule(after: .zero) { loop.stop() }
        try? loop.run()
    }
}
