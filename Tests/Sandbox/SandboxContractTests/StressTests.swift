import Foundation
import LinuxSystem
import Primitives
import Sandboxing
import Synchronization
import Testing

/// Many machines, in a row, at once, and killed. What they leave behind can be told only in a process that does nothing else,
/// so `scripts/stress-kvm` starts one for this suite.
@Suite(
    "Stress",
    .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["VOIDBOX_STRESS"] == "1", "runs alone: make stress-kvm"),
)
struct StressTests {
    /// How often; `VOIDBOX_STRESS_<NAME>` says otherwise.
    private static func count(_ name: String, _ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["VOIDBOX_STRESS_\(name)"].flatMap { Int($0) } ?? usual
    }

    /// One for all tests: the threads of another would end while a test counts descriptors.
    private static let backend = Result { try ContractBackend.kvm.backend() }

    private static func configuration(_ name: String) throws -> SandboxConfiguration {
        var configuration = try ContractBackend.kvm.configuration(name)
        configuration.memory = .mebibytes(256)
        configuration.vcpus = 1
        // As many machines as this share the host's processors.
        configuration.bootDeadline = .seconds(300)
        return configuration
    }

    @Test func `boots in a row leave nothing behind`() async throws {
        let count = Self.count("BOOTS", 25)
        let configuration = try Self.configuration("stress")
        let backend = try Self.backend.get()
        // What the first box makes for all of them stays.
        try await Self.bootAndStop(backend, configuration)
        let before = try Census()
        let start = ContinuousClock.now
        for boot in 1...count {
            try await Self.bootAndStop(backend, configuration)
            if boot % 20 == 0 { print("stress: \(boot) of \(count) boots after \(ContinuousClock.now - start)") }
        }
        print("stress: \(count) boots in a row in \(ContinuousClock.now - start); before: \(before)")
        try await Self.expectNothingLeft(since: before)
    }

    private static func bootAndStop(_ backend: any SandboxBackend, _ configuration: SandboxConfiguration) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "voidbox-stress-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        var configuration = configuration
        configuration.shares = [.init(hostPath: directory.path, guestPath: "/mnt/share", isReadOnly: false)]
        let box = try await backend.boot(configuration)
        let result = try await box.run("sh", "-c", "echo out > /mnt/share/file; cat /mnt/share/file")
        #expect(result.text == "out\n")
        await box.stop(grace: .seconds(2))
    }

    @Test func `many machines run at once`() async throws {
        let count = Self.count("MACHINES", 8)
        let configuration = try Self.configuration("crowd")
        let backend = try Self.backend.get()
        try await Self.bootAndStop(backend, configuration)
        let before = try Census()
        try await Self.runCrowd(of: count, backend, configuration)
        try await Self.expectNothingLeft(since: before)
    }

    /// A box that is held holds descriptors, so the caller has none of these.
    private static func runCrowd(
        of count: Int,
        _ backend: any SandboxBackend,
        _ configuration: SandboxConfiguration,
    ) async throws {
        let start = ContinuousClock.now
        let boxes = try await withThrowingTaskGroup(of: (any SandboxInstance).self) { group in
            for number in 0..<count {
                group.addTask {
                    var configuration = configuration
                    configuration.name = "crowd-\(number)"
                    return try await backend.boot(configuration)
                }
            }
            var boxes: [any SandboxInstance] = []
            for try await box in group { boxes.append(box) }
            return boxes
        }
        print("stress: \(count) machines at once were ready after \(ContinuousClock.now - start)")
        #expect(Census.workers().count == count)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for box in boxes {
                group.addTask {
                    let text = try await box.run("hostname").text
                    return text == "\(box.identity.name)\n"
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
        await withTaskGroup { group in
            for box in boxes { group.addTask { await box.stop(grace: .seconds(10)) } }
        }
    }

    @Test func `a worker killed at any moment is reported as killed and leaves nothing behind`() async throws {
        let count = Self.count("KILLS", 15)
        let configuration = try Self.configuration("killed")
        let backend = try Self.backend.get()
        let start = ContinuousClock.now
        try await Self.bootAndStop(backend, configuration)
        // From the first instruction of the worker to well after the guest is ready.
        let longest = ContinuousClock.now - start
        let before = try Census()
        var duringBoot = 0
        for _ in 0..<count {
            let moment = longest * Double.random(in: 0..<1)
            async let killed = Self.killWorker(after: moment)
            do {
                let box = try await backend.boot(configuration)
                let end = try await box.waitUntilEnded()
                guard case .machineFailed(let reason) = end else {
                    Issue.record("killed after \(moment), the box ended as \(end)")
                    continue
                }
                #expect(reason == "voidbox-vmm was killed by signal 9", "killed after \(moment)")
                let error = await #expect(throws: SandboxError.self) { try await box.run("true") }
                #expect(error?.code == .machineEnded)
                await box.stop(grace: .zero)
            } catch let error as SandboxError {
                duringBoot += 1
                #expect(error.code == .bootFailed, "killed after \(moment): \(error)")
                #expect(
                    error.message.contains("voidbox-vmm was killed by signal 9"),
                    "killed after \(moment): \(error)"
                )
            }
            try await killed
        }
        print("stress: \(count) workers killed, \(duringBoot) of them during the boot")
        try await Self.expectNothingLeft(since: before)
    }

    private static func expectNothingLeft(since before: Census) async throws {
        let after = try await Census.settled(to: before)
        #expect(after == before, "\(after.changes(since: before))")
    }

    /// Waits for the worker's program to run, then for the moment: here time is what is tested.
    private static func killWorker(after moment: Duration) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if let worker = Census.workers().first {
                try await Task.sleep(for: moment)
                kill(worker, SIGKILL)
                return
            }
            await Task.yield()
        }
        Issue.record("no worker came")
    }
}

/// What this process holds of the host, and what may be there because of it.
private struct Census: Equatable, CustomStringConvertible {
    /// How many of each kind: "socket", "pipe", "anon_inode:[eventfd]", a path.
    private var descriptors: [String: Int] = [:]
    private var children: Set<String> = []
    private var mounts: [String] = []
    private var sockets: Set<String> = []
    private var files: Set<String> = []

    init() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            // The listing's own is closed by now.
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            else { continue }
            let kind =
                target.hasPrefix("/") || target.hasPrefix("anon_inode") ? target : String(target.prefix { $0 != ":" })
            descriptors[kind, default: 0] += 1
        }
        for pid in HostFacts.processes() where Self.isOurs(pid) {
            children.insert(HostFacts.text(of: "/proc/\(pid)/cmdline") ?? "\(pid)")
        }
        mounts = Self.lines("/proc/self/mountinfo")
        // The last column is the name, where there is one.
        sockets = Set(
            Self.lines("/proc/net/unix").compactMap { line in
                let columns = line.split(separator: " ")
                return columns.count == 8 ? String(columns[7]) : nil
            }
        )
        for directory in Set([FileManager.default.temporaryDirectory.path, "/tmp", "/var/tmp", "/run", "/dev/shm"]) {
            let names = (try? FileManager.default.subpathsOfDirectory(atPath: directory)) ?? []
            files.formUnion(names.map { "\(directory)/\($0)" })
        }
    }

    /// Once it is `wanted`, or after a bounded time: the last descriptors of a box are closed on a thread of their own.
    static func settled(to wanted: Census) async throws -> Census {
        let deadline = ContinuousClock.now + .seconds(10)
        var census = try Census()
        while census != wanted, ContinuousClock.now < deadline {
            await Task.yield()
            census = try Census()
        }
        return census
    }

    /// What came and what went.
    func changes(since before: Census) -> String {
        func changes(_ name: String, _ old: Set<String>, _ new: Set<String>) -> String {
            "\(name): +\(new.subtracting(old).sorted()) -\(old.subtracting(new).sorted())"
        }
        func lines(_ census: Census) -> Set<String> { Set(census.descriptors.map { "\($0.key) × \($0.value)" }) }
        return [
            changes("descriptors", lines(before), lines(self)), changes("processes", before.children, children),
            changes("mounts", Set(before.mounts), Set(mounts)), changes("sockets", before.sockets, sockets),
            changes("files", before.files, files),
        ].joined(separator: "; ")
    }

    var description: String {
        "\(descriptors.values.reduce(0, +)) descriptors, \(children.count) processes, \(mounts.count) mounts, "
            + "\(sockets.count) named sockets, \(files.count) files; \(descriptors)"
    }

    private static func lines(_ path: String) -> [String] {
        (HostFacts.text(of: path) ?? "").split(separator: "\n").map(String.init)
    }

    private static func isOurs(_ pid: Int32) -> Bool {
        guard pid != HostFacts.processID else { return false }
        if HostFacts.text(of: "/proc/\(pid)/cmdline")?.contains("voidbox-box-\(HostFacts.processID)-") == true {
            return true
        }
        let fields = HostFacts.text(of: "/proc/\(pid)/stat")?.split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 1 && Int32(fields[1]) == HostFacts.processID
    }

    /// The processes that run a machine for this process.
    static func workers() -> [Int32] {
        HostFacts.processes().filter { pid in
            HostFacts.text(of: "/proc/\(pid)/cmdline")?.hasPrefix("voidbox-vmm\0voidbox-box-\(HostFacts.processID)-")
                == true
        }
    }
}
