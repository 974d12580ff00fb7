internal import LinuxSystem
internal import Primitives
internal import Sandboxing

/// One QEMU process. It dies with this process: by the kernel's parent death signal, and because the guest resets itself
/// when its control channel closes.
enum QEMUMachine {
    /// Starts QEMU and returns the machine with this side's end of the control channel.
    static func start(
        _ configuration: SandboxConfiguration,
        program: String,
        acceleration: QEMUAcceleration,
        host: MachineHost,
    ) async throws -> (machine: MachineProcess, guest: GuestClient) {
        let commandLine = QEMUCommandLine(
            configuration: configuration,
            acceleration: acceleration,
            counterKilohertz: acceleration == .tcg ? TimestampCounter.kilohertz : nil,
            processTag: SandboxLeaks.processTag(),
        )
        let initramfs = try bootArchive(configuration, commandLine.bootNames)
        let control = try OwnedFD.socketPair()
        let monitor = try OwnedFD.socketPair()
        let console = try OwnedFD.socketPair()
        let errors = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)

        var request = SpawnRequest(
            path: program,
            argv: [HostProgram.qemu.name] + commandLine.arguments,
            environment: ["PATH=/usr/bin:/bin"],
        )
        request.parentDeathSignal = Signal.kill
        request.startsSession = true  // Ctrl-C in the terminal is for voidbox, which ends the machine properly.
        var descriptors = [
            nothing.rawValue, nothing.rawValue, errors.second.rawValue,
            control.second.rawValue, monitor.second.rawValue, console.second.rawValue, initramfs.rawValue,
        ]
        if case .frames(let stream) = commandLine.configuration.network {
            descriptors.append(stream.descriptor.rawValue)
        }
        let process: Spawner.SpawnedProcess
        do {
            process = try await host.spawner.spawn(request, descriptors: descriptors)
        } catch let error as SpawnError {
            throw SandboxError(
                .hostUnsupported,
                resource: program,
                "\(error)",
                hint: HostProgram.qemuHint,
                cause: error
            )
        }
        let qmp = try QMPMonitor(adopting: monitor.keepFirst(), on: host.loop)
        let complaints = try ConsoleTail(adopting: errors.keepFirst(), on: host.loop)
        let machine = MachineProcess(
            process,
            of: "QEMU",
            console: try ConsoleTail(adopting: console.keepFirst(), on: host.loop),
            meaning: { status in
                await complaints.catchUp()
                return meaning(of: status, program, qmp, complaints)
            },
        )
        return (machine, try GuestClient(adopting: control.keepFirst(), on: host.loop, box: configuration.name))
    }

    private static func meaning(
        of status: TerminationStatus,
        _ program: String,
        _ monitor: QMPMonitor,
        _ errors: ConsoleTail,
    ) -> MachineEnd {
        let said = errors.text.split(separator: "\n").suffix(3).joined(separator: "; ")
        switch status {
        case .exited(0) where monitor.hasGreeted: return .guestReset
        case .exited(let code) where said.isEmpty && !monitor.hasGreeted:
            let reason = "it is not QEMU: it exited with status \(code) and did not speak QEMU's machine protocol"
            return .unusable(program: program, reason: reason, hint: HostProgram.qemuHint)
        case .exited(let code): return .failed(reason: "QEMU exited with status \(code): \(said)")
        case .signalled(let signal): return .failed(reason: "QEMU was killed by signal \(signal)")
        }
    }

    /// The initramfs with the boot parameters behind it, in memory only.
    private static func bootArchive(_ configuration: SandboxConfiguration, _ names: BootNames) throws -> OwnedFD {
        let path = configuration.boot.initramfs
        let file = try OwnedFD.open(path, OwnedFD.readOnly)
        var archive = try file.readAll(limit: 1 << 30)
        while archive.count % 4 != 0 { archive.append(0) }
        archive += try configuration.bootSegment(names, unixNanoseconds: HostFacts.unixNanoseconds)
        return try OwnedFD.memoryFile(named: "voidbox-initramfs", contents: archive)
    }
}
