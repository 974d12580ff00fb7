import Foundation
import LinuxSystem
import Primitives
import Sandboxing
import TestSupport
import Testing
import WorkerProtocol

@testable import SandboxKVM

/// A worker, jailed as always, whose guest is the program of `Guest/hostile` in place of a kernel. Any thread.
final class HostileGuest: Sendable {
    /// Console, entropy, a disk of each kind, a share, a balloon, a network and a vsock: numbers 0 to 7 on the guest's command
    /// line.
    static let deviceCount = 8
    static let memory: UInt64 = 64 << 20
    static let diskSize: UInt64 = 1 << 20

    let process: Spawner.SpawnedProcess
    private let scratch: ScratchDirectory
    private let disk: OwnedFD
    private let console: ConsoleLines
    private let reports: WorkerReports
    private let errors: ConsoleTail
    private let peers: [NoisyPeer]
    private let vsock: VsockPrograms

    /// Where `Guest/hostile/build.sh` leaves it.
    private static var program: String {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["VOIDBOX_CACHE_DIR"] ?? "\(environment["HOME"] ?? "")/.cache/voidbox"
        return "\(cache)/current/hostile"
    }

    /// Starts one with words for its command line.
    init(_ words: String, on host: MachineHost) async throws {
        let control = try OwnedFD.socketPair()
        let reports = try OwnedFD.socketPair()
        let console = try OwnedFD.socketPair()
        let errors = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let kvm = try OwnedFD.open("/dev/kvm", OwnedFD.readWrite)
        let kernel = try OwnedFD.open(Self.program, OwnedFD.readOnly)
        let initramfs = try OwnedFD.memoryFile(named: "initramfs")
        disk = try OwnedFD.memoryFile(named: "disk", contents: [UInt8](repeating: 7, count: Int(Self.diskSize)))
        let readOnly = try OwnedFD.memoryFile(named: "disk", contents: [UInt8](repeating: 7, count: Int(Self.diskSize)))
        scratch = try ScratchDirectory()
        let share = try Directory(scratch.path).intoDescriptor()
        var configuration = WorkerConfiguration(
            memoryBytes: Self.memory,
            vcpus: 1,
            commandLine: words,
            bootSegment: [],
            controlPort: "voidbox.control",
            disks: [.init(serial: "disk", isReadOnly: false), .init(serial: "fixed", isReadOnly: true)],
            shares: [.init(tag: "share", isReadOnly: false)],
        )
        let network = try OwnedFD.socketPair()
        configuration.network = .init(mac: .ofGuest)
        configuration.vsock = .init(guestCID: 3)
        let programs = try VsockPrograms(on: host.loop)
        vsock = programs
        // The worker has them when it is spawned.
        defer { for socket in programs.sockets { _ = OwnedFD(adopting: socket) } }
        let settings = try OwnedFD.memoryFile(named: "voidbox-vmm", contents: configuration.encoded)
        process = try await WorkerMachine.spawn(
            program: try HostProgram.worker.locate(environment: ProcessInfo.processInfo.environment),
            // In the order of WorkerDescriptor.
            [
                nothing.rawValue, nothing.rawValue, errors.second.rawValue, reports.second.rawValue,
                settings.rawValue, console.second.rawValue, control.second.rawValue, kvm.rawValue, kernel.rawValue,
                initramfs.rawValue, disk.rawValue, readOnly.rawValue, share.rawValue, network.second.rawValue,
            ] + programs.sockets,
            host.spawner,
        )
        self.console = try ConsoleLines(adopting: console.keepFirst(), on: host.loop)
        self.reports = try WorkerReports(adopting: reports.keepFirst(), on: host.loop)
        self.errors = try ConsoleTail(adopting: errors.keepFirst(), on: host.loop)
        // A frame of 60 bytes, behind its length.
        let frame = [0, 0, 0, 60] + [UInt8](repeating: 0xFF, count: 60)
        peers = [
            try NoisyPeer(adopting: control.keepFirst(), saying: Array("noise".utf8), on: host.loop),
            try NoisyPeer(adopting: network.keepFirst(), saying: frame, on: host.loop),
        ]
    }

    /// Starts one, hands it to `body`, and ends it.
    static func with<Result>(
        _ words: String,
        _ body: (HostileGuest) async throws -> Result,
    ) async throws -> Result {
        let guest = try await HostileGuest(words, on: MachineHost())
        do {
            let result = try await body(guest)
            _ = try await guest.kill()
            return result
        } catch {
            _ = try? await guest.kill()  // The first error tells more.
            throw error
        }
    }

    /// What it says, to the line that starts with `prefix`, which is the last; all of it where the machine ends first.
    func lines(to prefix: String) async -> [String] {
        var lines: [String] = []
        for await line in console.lines {
            lines.append(line)
            if line.hasPrefix(prefix) { break }
        }
        return lines
    }

    func truncateDisk(to size: UInt64) throws { try disk.truncate(to: size) }

    /// What the worker said of broken rules.
    var violations: [String] { reports.warnings.filter { $0.hasPrefix("the guest broke the rules of its ") } }

    struct End: Sendable {
        let status: TerminationStatus
        let lastWord: WorkerEnd?
        let errors: String
    }

    /// Waits for an end that the guest or the worker brought about.
    func end() async throws -> End {
        let status = try await process.waitForEnd()
        await errors.catchUp()
        return End(status: status, lastWord: try await reports.lastWord(), errors: errors.text)
    }

    private func kill() async throws -> End? {
        do {
            try process.signal(Signal.kill)
        } catch {
            return nil  // It has ended, and was waited for.
        }
        return try await end()
    }
}

/// A directory of a user who is not root, where this process may make one, as a share usually is.
private final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "voidbox-hostile-\(UUID())")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
        if HostFacts.userID == 0 {
            try FileManager.default.setAttributes(
                [.ownerAccountID: 1000, .groupOwnerAccountID: 1000],
                ofItemAtPath: path,
            )
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
