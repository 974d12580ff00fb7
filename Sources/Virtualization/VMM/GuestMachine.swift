internal import KVM
internal import LinuxBoot
internal import LinuxSystem
internal import MachineMemory
internal import Virtio
internal import VirtioDevices
internal import WorkerProtocol

/// One virtual machine, set up and not yet running.
final class GuestMachine: Sendable {
    /// Lines of the interrupt controllers that the devices use, one each: below are the machine's own. The kernel takes line 8
    /// for a PC's real-time clock, and has the guest leave at the end of each of its interrupts.
    private static let interruptLines = (5..<24 as Range<UInt32>).filter { $0 != 8 }

    private let configuration: WorkerConfiguration
    private let kvm: KVMMachine
    private let vcpus: [VCPU]
    private let serial: SerialPort
    /// The kernel maps it into the machine as long as that exists.
    private let memory: GuestMemory
    private let ending: Ending
    private let shares: SharedDirectories
    /// Rung by what nobody has to hear.
    private let nobody: Doorbell

    /// Takes over the worker's descriptors and makes the machine, all but its devices: those have threads, and a process
    /// is jailed while it has one.
    init(_ configuration: WorkerConfiguration, shares: SharedDirectories, ending: Ending) throws {
        guard configuration.deviceCount <= Self.interruptLines.count else {
            throw GuestMachineError.tooManyDevices(configuration.deviceCount, limit: Self.interruptLines.count)
        }
        self.configuration = configuration
        self.ending = ending
        self.shares = shares
        nobody = try Doorbell()
        let memory = try GuestMemory(MachineMemoryLayout(size: configuration.memoryBytes))
        let kvm = try KVMSystem(adopting: OwnedFD(adopting: WorkerDescriptor.kvm)).createMachine()
        try kvm.setMemory(memory)
        try kvm.createInterruptControllers()
        vcpus = try (0..<configuration.vcpus).map { try kvm.createVCPU($0, of: configuration.vcpus) }
        let entry = try LinuxLoader(memory).load(
            kernel: OwnedFD(adopting: WorkerDescriptor.kernel),
            initramfs: OwnedFD(adopting: WorkerDescriptor.initramfs),
            appended: configuration.bootSegment,
            commandLine: Self.commandLine(configuration),
            processors: configuration.vcpus,
        )
        try vcpus.first?.enter(
            LongModeEntry(
                instructionPointer: entry.instructionPointer,
                stackPointer: entry.stackPointer,
                bootParameters: entry.bootParameters,
                pageTable: entry.pageTable,
                descriptorTable: entry.descriptorTable,
                descriptorTableLimit: entry.descriptorTableLimit,
            )
        )
        let serial = try SerialPort(output: OwnedFD(adopting: WorkerDescriptor.console))
        try kvm.connect(serial.interrupt, toInterrupt: SerialPort.interruptLine)
        ending.onEnd { serial.flush() }
        self.memory = memory
        self.kvm = kvm
        self.serial = serial
    }

    /// Makes the devices and starts a thread for each processor. Every thread narrows itself to its kind before it does
    /// anything else.
    func start(_ confinement: ThreadConfinement) throws {
        let devices = try makeDevices(confinement)
        try connect(devices)
        let ending = ending
        let bus = SystemBus(serial: serial, windows: devices) { ending.end(.guestReset) }
        for (index, vcpu) in vcpus.enumerated() {
            try startThread(named: "vcpu\(index)") { [self] in
                do {
                    try confinement.enterVCPUThread()
                } catch {
                    ending.end(.setUpFailed("\(error)"))
                }
                run(vcpu, index, on: bus)
            }
        }
    }

    private func run(_ vcpu: VCPU, _ index: Int, on bus: SystemBus) {
        do throws(SyscallError) {
            switch try vcpu.run(on: bus) {
            case .shutdown: ending.end(.tripleFault)
            case .failedEntry(let reason):
                ending.end(.failed("the processor refused to enter the guest (reason 0x\(String(reason, radix: 16)))"))
            case .internalError(let suberror):
                ending.end(.failed("KVM gave up on processor \(index) (internal error \(suberror))"))
            case .systemEvent: ending.end(.guestReset)
            case .unexpectedExit(let reason):
                ending.end(.failed("KVM stopped processor \(index) for a reason it should not (exit \(reason))"))
            }
        } catch {
            ending.end(.failed("processor \(index) cannot run: \(error)"))
        }
    }

    // MARK: Devices

    private func makeDevices(_ confinement: ThreadConfinement) throws -> [MMIOTransport] {
        var devices: [MMIOTransport] = []
        func add(
            _ name: String,
            _ description: VirtioDeviceDescription,
            on thread: EventLoopThread,
            _ make: @escaping @Sendable (VirtioDeviceContext) throws -> any VirtioDevice,
        ) throws {
            let line = kvm.interruptLine(Self.interruptLines[devices.count])
            devices.append(try makeDevice(name, description, on: thread, line, make))
        }

        let loop = try confinement.deviceThread(named: "devices")
        let port = configuration.controlPort
        try add("console", ConsoleDevice.description(portCount: 1), on: loop) {
            try ConsoleDevice($0, ports: [(port, WorkerDescriptor.control)])
        }
        try add("entropy", EntropyDevice.description, on: loop) { EntropyDevice($0) }
        for (index, settings) in configuration.disks.enumerated() {
            let descriptor = configuration.descriptor(ofDisk: index)
            let size = try OwnedFD.borrowing(descriptor) { file throws(SyscallError) in try file.fileSize() }
            let disk = BlockDevice.Disk(serial: settings.serial, size: size, isReadOnly: settings.isReadOnly)
            // A thread of its own: a slow file holds up nobody else.
            let thread = try confinement.deviceThread(named: "disk\(index)")
            try add("disk \(disk.serial)", BlockDevice.description(disk), on: thread) {
                BlockDevice($0, disk, file: OwnedFD(adopting: descriptor), limit: settings.limit)
            }
        }
        for (index, share) in configuration.shares.enumerated() {
            let shares = shares
            let thread = try confinement.shareThread(named: "share\(index)")
            try add("share \(share.tag)", FileSystemDevice.description(tag: share.tag), on: thread) {
                FileSystemDevice($0, try shares.server(index))
            }
        }
        try add("balloon", BalloonDevice.description, on: loop) { BalloonDevice($0) }
        if let network = configuration.network {
            let descriptor = configuration.networkDescriptor
            let thread = try confinement.deviceThread(named: "network")
            try add("network", NetworkDevice.description(mac: network.mac), on: thread) {
                try NetworkDevice($0, stream: descriptor)
            }
        }
        if let vsock = configuration.vsock {
            let (listener, dialler) = (configuration.vsockListenerDescriptor, configuration.vsockDiallerDescriptor)
            let thread = try confinement.vsockThread(named: "vsock")
            try add("vsock", VsockDevice.description(guestCID: vsock.guestCID), on: thread) {
                try VsockDevice(
                    $0,
                    guestCID: vsock.guestCID,
                    listener: OwnedFD(adopting: listener),
                    dialler: OwnedFD(adopting: dialler),
                )
            }
        }
        return devices
    }

    private func makeDevice(
        _ name: String,
        _ description: VirtioDeviceDescription,
        on thread: EventLoopThread,
        _ line: InterruptLine,
        _ make: @escaping @Sendable (VirtioDeviceContext) throws -> any VirtioDevice,
    ) throws -> MMIOTransport {
        let ending = ending
        return try MMIOTransport(
            description,
            on: thread,
            memory: memory,
            signal: { line.pulse() },
            report: { error in
                let whose =
                    error is NetworkDevice.PeerViolation
                    ? "the host broke the rules of the" : "the guest broke the rules of its"
                ending.warn("\(whose) \(name) device, which stopped: \(error)")
            },
            make: make,
        )
    }

    private func connect(_ devices: [MMIOTransport]) throws(SyscallError) {
        for (index, device) in devices.enumerated() {
            let window = Self.address(ofDevice: index)
            try kvm.setReadOnlyMemory(device.page.mapping, at: GuestAddress(window))
            let notify = GuestAddress(window + MMIOTransport.notifyOffset)
            for (queue, kick) in device.kicks.enumerated() {
                try kvm.connect(kick.bell, toWriteOf: UInt32(queue), at: notify)
            }
            // The lines are edges, so the acknowledgement tells nobody anything. Swallowed by the kernel it costs the guest
            // no way out to this process, at each interrupt of each device.
            try kvm.connect(
                nobody,
                toWriteOf: VirtioInterrupt.usedBufferAcknowledgement,
                at: GuestAddress(window + MMIOTransport.acknowledgeOffset),
            )
        }
    }

    private static func address(ofDevice index: Int) -> UInt64 {
        SystemBus.deviceBase + UInt64(index) * MMIOTransport.windowSize
    }

    /// The kernel finds the devices by its command line, as there is no ACPI and no device tree.
    private static func commandLine(_ configuration: WorkerConfiguration) -> String {
        let devices = (0..<configuration.deviceCount).map { index in
            let address = String(address(ofDevice: index), radix: 16)
            return "virtio_mmio.device=4K@0x\(address):\(interruptLines[index])"
        }
        return ([configuration.commandLine] + devices).joined(separator: " ")
    }
}

extension WorkerConfiguration {
    /// Console, entropy, the disks, the shares, the balloon, the network and the vsock.
    fileprivate var deviceCount: Int {
        3 + disks.count + shares.count + (network == nil ? 0 : 1) + (vsock == nil ? 0 : 1)
    }
}

enum GuestMachineError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooManyDevices(Int, limit: Int)

    var description: String {
        switch self {
        case .tooManyDevices(let count, let limit): "\(count) devices; a machine has lines for \(limit)"
        }
    }
}
