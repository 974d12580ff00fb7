internal import LinuxSystem
internal import Primitives
internal import Sandboxing
internal import WorkerProtocol

/// One worker process and its machine. It dies with this process: by the kernel's parent death signal, and because it ends
/// when the stream of its reports closes.
enum WorkerMachine {
    /// Starts a worker and returns the machine with this side's end of the control channel.
    static func start(
        _ configuration: SandboxConfiguration,
        program: String,
        waivedJailLayers: [String],
        host: MachineHost,
    ) async throws -> (machine: MachineProcess, guest: GuestClient) {
        let control = try OwnedFD.socketPair()
        let reports = try OwnedFD.socketPair()
        let console = try OwnedFD.socketPair()
        let errors = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        var settings = try configuration.workerConfiguration
        settings.waivedJailLayers = waivedJailLayers
        let settingsFile = try OwnedFD.memoryFile(named: "voidbox-vmm", contents: settings.encoded)
        let kvm = try OwnedFD.open("/dev/kvm", OwnedFD.readWrite)
        let kernel = try OwnedFD.open(configuration.boot.kernel, OwnedFD.readOnly)
        let initramfs = try OwnedFD.open(configuration.boot.initramfs, OwnedFD.readOnly)
        let files = try BoxFiles(configuration)
        var vsock: VsockHost?
        if let path = configuration.vsock?.socketPath {
            let opened = try VsockHost.open(path, on: host.loop)
            vsock = opened.host
            files.adopt(opened.sockets)
        }

        // In the order of WorkerDescriptor.
        let descriptors = [
            nothing.rawValue, nothing.rawValue, errors.second.rawValue,
            reports.second.rawValue, settingsFile.rawValue, console.second.rawValue, control.second.rawValue,
            kvm.rawValue, kernel.rawValue, initramfs.rawValue,
        ]
        let process = try await spawn(program: program, descriptors + files.descriptors, host.spawner)
        let lastWords = try WorkerReports(adopting: reports.keepFirst(), on: host.loop)
        let complaints = try ConsoleTail(adopting: errors.keepFirst(), on: host.loop)
        let machine = MachineProcess(
            process,
            of: HostProgram.worker.name,
            console: try ConsoleTail(adopting: console.keepFirst(), on: host.loop),
            warnings: { lastWords.warnings },
            meaning: { [vsock] status in
                // Its descriptors are closed, so this follows at once.
                try await vsock?.waitUntilClosed()
                await complaints.catchUp()
                return meaning(of: status, try await lastWords.lastWord(), complaints)
            },
        )
        return (machine, try GuestClient(adopting: control.keepFirst(), on: host.loop, box: configuration.name))
    }

    /// Starts the program of a worker, in a process namespace of its own where the host allows it; the jail's report says
    /// where it does not. `descriptors` are in the order of `WorkerDescriptor`.
    static func spawn(
        program: String,
        _ descriptors: [Int32],
        _ spawner: Spawner,
    ) async throws -> Spawner.SpawnedProcess {
        var request = SpawnRequest(
            path: program,
            argv: [HostProgram.worker.name, SandboxLeaks.processTag()],
            environment: [],
        )
        request.parentDeathSignal = Signal.kill
        request.startsSession = true  // Ctrl-C in the terminal is for voidbox, which ends the machine properly.
        request.noNewPrivileges = true
        request.startsProcessNamespace = true
        do {
            return try await spawner.spawn(request, descriptors: descriptors)
        } catch let error as SpawnError where error.errno == .notPermitted || error.errno == .noSpace {
            request.startsProcessNamespace = false
            return try await spawner.spawn(request, descriptors: descriptors)
        }
    }

    private static func meaning(
        of status: TerminationStatus,
        _ lastWord: WorkerEnd?,
        _ errors: ConsoleTail,
    ) -> MachineEnd {
        switch lastWord {
        case .guestReset: return .guestReset
        case .tripleFault: return .failed(reason: "the guest's processor faulted three times over, and stopped")
        case .setUpFailed(let reason): return .failed(reason: "the machine cannot be set up: \(reason)")
        case .failed(let reason): return .failed(reason: reason)
        case nil: break
        }
        let said = errors.text.split(separator: "\n").suffix(3).joined(separator: "; ")
        switch status {
        case .exited(let code): return .failed(reason: "voidbox-vmm exited with status \(code): \(said)")
        case .signalled(let signal):
            return .failed(reason: "voidbox-vmm was killed by signal \(signal)" + (said.isEmpty ? "" : ": \(said)"))
        }
    }
}

extension SandboxConfiguration {
    /// reboot=k: by the keyboard controller, which tells a reset from a triple fault. panic=-1: reset at once on a panic.
    private static var kernelCommandLine: String {
        "console=ttyS0 quiet panic=-1 reboot=k random.trust_cpu=on i8042.noaux i8042.nokbd" + clock
    }

    /// The time stamp counter is the host's. Where the host goes by it, an idle guest need not wake twice a second to compare
    /// it with KVM's clock; where the host has given it up, the guest has to find out.
    private static var clock: String {
        let source = HostFacts.text(of: "/sys/devices/system/clocksource/clocksource0/current_clocksource")
        return source == "tsc\n" ? " tsc=nowatchdog" : ""
    }

    private static let rootSerial = "root"

    fileprivate var workerConfiguration: WorkerConfiguration {
        get throws {
            let serials = disks.indices.map { "disk\($0)" }
            let names = BootNames(
                rootSerial: Self.rootSerial,
                diskSerials: serials,
                shareTags: shares.indices.map { "share\($0)" },
                shareKind: "virtiofs",
            )
            var worker = WorkerConfiguration(
                memoryBytes: memory.bytes,
                vcpus: vcpus,
                commandLine: Self.kernelCommandLine,
                bootSegment: try bootSegment(names, unixNanoseconds: HostFacts.unixNanoseconds),
                controlPort: "voidbox.control",
                disks: [WorkerConfiguration.Disk(serial: Self.rootSerial, isReadOnly: true, limit: diskLimit)]
                    + zip(disks, serials).map { disk, serial in
                        WorkerConfiguration.Disk(serial: serial, isReadOnly: disk.isReadOnly, limit: diskLimit)
                    },
                shares: zip(shares, names.shareTags).map { share, tag in
                    WorkerConfiguration.Share(tag: tag, isReadOnly: share.isReadOnly)
                },
            )
            if network.isThere { worker.network = WorkerConfiguration.Network(mac: .ofGuest) }
            worker.vsock = vsock.map { WorkerConfiguration.Vsock(guestCID: $0.guestCID) }
            return worker
        }
    }
}

/// The images, directories and network of a box, open until its worker has them.
private final class BoxFiles {
    private(set) var descriptors: [Int32] = []

    init(_ configuration: SandboxConfiguration) throws(SyscallError) {
        descriptors.append(try OwnedFD.open(configuration.boot.rootDisk, OwnedFD.readOnly).relinquish())
        for disk in configuration.disks {
            let access = disk.isReadOnly ? OwnedFD.readOnly : OwnedFD.readWrite
            descriptors.append(try OwnedFD.open(disk.imagePath, access).relinquish())
        }
        for share in configuration.shares {
            descriptors.append(try Directory(share.hostPath).intoDescriptor().relinquish())
        }
        if case .frames(let stream) = configuration.network {
            descriptors.append(try stream.descriptor.duplicate().relinquish())
        }
    }

    /// Takes over further descriptors, behind the others.
    func adopt(_ more: [Int32]) {
        descriptors += more
    }

    deinit {
        for descriptor in descriptors { _ = OwnedFD(adopting: descriptor) }
    }
}
