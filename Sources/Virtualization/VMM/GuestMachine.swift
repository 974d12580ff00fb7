internal import KVM
internal import LinuxBoot
package import LinuxSystem
internal import MachineMemory
internal import Virtio
internal import VirtioDevices
package import WorkerProtocol

/// One virtual machine, set up and not yet running.
package final class GuestMachine: Sendable {
    /// Lines of the interrupt controllers that the devices use, one each: below are the machine's own.
    private static let interruptLines: Range<UInt32> = 5..<24

    private let vcpus: [VCPU]
    private let bus: SystemBus
    private let serial: SerialPort
    private let ending: Ending
    /// The kernel maps it into the machine as long as that exists.
    private let memory: GuestMemory
    private let kvm: KVMMachine

    /// Takes over the worker's descriptors and makes the machine they describe.
    package init(_ configuration: WorkerConfiguration, ending: Ending) throws {
        self.ending = ending
        let memory = try GuestMemory(MachineMemoryLayout(size: configuration.memoryBytes))
        let kvm = try KVMSystem(adopting: OwnedFD(adopting: WorkerDescriptor.kvm)).createMachine()
        try kvm.setMemory(memory)
        try kvm.createInterruptControllers()
        let serial = try SerialPort(output: OwnedFD(adopting: WorkerDescriptor.console))
        try kvm.connect(serial.interrupt, toInterrupt: SerialPort.interruptLine)
        let devices = try Self.makeDevices(configuration, memory, ending)
        try Self.connect(devices, to: kvm)
        vcpus = try (0..<configuration.vcpus).map { try kvm.createVCPU($0, of: configuration.vcpus) }
        let entry = try LinuxLoader(memory).load(
            kernel: OwnedFD(adopting: WorkerDescriptor.kernel),
            initramfs: OwnedFD(adopting: WorkerDescriptor.initramfs),
            appended: configuration.bootSegment,
            commandLine: Self.commandLine(configuration, deviceCount: devices.count),
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
        bus = SystemBus(serial: serial, windows: devices) { ending.end(.guestReset) }
        self.memory = memory
        self.kvm = kvm
        self.serial = serial
        ending.onEnd { serial.flush() }
    }

    /// Starts a thread for each processor.
    package func start() throws(SyscallError) {
        for (index, vcpu) in vcpus.enumerated() {
            try startThread(named: "vcpu\(index)") { [self] in run(vcpu, index) }
        }
    }

    private func run(_ vcpu: VCPU, _ index: Int) {
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

    private static func makeDevices(
        _ configuration: WorkerConfiguration,
        _ memory: GuestMemory,
        _ ending: Ending,
    ) throws -> [MMIOTransport] {
        let loop = try EventLoopThread(name: "devices")
        let report: @Sendable (String) -> @Sendable (any Error) -> Void = { name in
            { ending.warn("the guest broke the rules of its \(name) device, which stopped: \($0)") }
        }
        let port = configuration.controlPort
        var devices = [
            try MMIOTransport(
                ConsoleDevice.description(portCount: 1),
                on: loop,
                memory: memory,
                report: report("console"),
            ) { try ConsoleDevice($0, ports: [(port, WorkerDescriptor.control)]) },
            try MMIOTransport(EntropyDevice.description, on: loop, memory: memory, report: report("entropy")) {
                EntropyDevice($0)
            },
        ]
        for (index, disk) in configuration.disks.enumerated() {
            let descriptor = WorkerDescriptor.firstDisk + Int32(index)
            let size = try OwnedFD.borrowing(descriptor) { file throws(SyscallError) in try file.fileSize() }
            let disk = BlockDevice.Disk(serial: disk.serial, size: size, isReadOnly: disk.isReadOnly)
            devices.append(
                try MMIOTransport(
                    BlockDevice.description(disk),
                    on: try EventLoopThread(name: "disk\(index)"),
                    memory: memory,
                    report: report("disk \(disk.serial)"),
                ) { BlockDevice($0, disk, file: OwnedFD(adopting: descriptor)) }
            )
        }
        return devices
    }

    private static func connect(_ devices: [MMIOTransport], to kvm: KVMMachine) throws {
        guard devices.count <= interruptLines.count else {
            throw GuestMachineError.tooManyDevices(devices.count, limit: interruptLines.count)
        }
        for (index, device) in devices.enumerated() {
            try kvm.connect(device.interrupt.bell, toInterrupt: interruptLines.lowerBound + UInt32(index))
            let notify = GuestAddress(address(ofDevice: index) + MMIOTransport.notifyOffset)
            for (queue, kick) in device.kicks.enumerated() {
                try kvm.connect(kick.bell, toWriteOf: UInt32(queue), at: notify)
            }
        }
    }

    private static func address(ofDevice index: Int) -> UInt64 {
        SystemBus.deviceBase + UInt64(index) * MMIOTransport.windowSize
    }

    /// The kernel finds the devices by its command line, as there is no ACPI and no device tree.
    private static func commandLine(_ configuration: WorkerConfiguration, deviceCount: Int) -> String {
        let devices = (0..<deviceCount).map { index in
            let address = String(address(ofDevice: index), radix: 16)
            return "virtio_mmio.device=4K@0x\(address):\(interruptLines.lowerBound + UInt32(index))"
        }
        return ([configuration.commandLine] + devices).joined(separator: " ")
    }
}

package enum GuestMachineError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooManyDevices(Int, limit: Int)

    package var description: String {
        switch self {
        case .tooManyDevices(let count, let limit): "\(count) devices; a machine has lines for \(limit)"
        }
    }
}
