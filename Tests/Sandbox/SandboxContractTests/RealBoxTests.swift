import Foundation
import LinuxSystem
import Primitives
import SandboxKVM
import SandboxQEMU
import Sandboxing
import TestSupport
import Testing

/// What only a real machine can be asked.
@Suite("Real box", .takesBoxSlot) struct RealBoxTests {
    @Test(arguments: ContractBackend.real)
    func `programs run as the sandbox user without a way to more`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        #expect(try await box.run("id", "-un").text == "sandbox\n")
        #expect(try await box.run("grep", "NoNewPrivs", "/proc/self/status").text == "NoNewPrivs:\t1\n")
        #expect(try await box.run("sh", "-c", "cat /voidbox/boot; ls /voidbox").exit.status != .code(0))
        var request = ExecRequest(["id", "-u"])
        request.user = "root"
        #expect(try await box.run(request).text == "0\n")
    }

    @Test(arguments: ContractBackend.real)
    func `the machine has the processors and memory it was given`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        #expect(try await box.run("nproc").text == "\(ContractBackend.vcpus)\n")
        let health = try await box.health()
        #expect(health.processors == ContractBackend.vcpus)
        // What the kernel keeps for itself grows with the memory.
        let memory = ContractBackend.memory
        #expect(health.memoryTotal.bytes > memory.bytes / 16 * 13 && health.memoryTotal < memory)
        #expect(health.warnings == [])
    }

    @Test(arguments: ContractBackend.real)
    func `telemetry tells what the machine uses`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        var samples: [TelemetrySample] = []
        for try await sample in try await box.telemetry(every: .milliseconds(100)) {
            samples.append(sample)
            if samples.count == 3 { break }
        }
        #expect(samples.count == 3)
        for sample in samples {
            #expect(sample.memoryTotal > .mebibytes(400))
            #expect(sample.memoryUsed > .mebibytes(1) && sample.memoryUsed < sample.memoryTotal)
            #expect((0...100).contains(sample.cpuPercent))
            #expect(sample.processCount > 0)
        }
    }

    @Test(arguments: ContractBackend.real)
    func `the guest's clock is the host's`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let before = HostFacts.unixNanoseconds / 1_000_000_000
        let text = try await box.run("date", "+%s").text
        let after = HostFacts.unixNanoseconds / 1_000_000_000
        let seconds = try #require(Int64(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect((before - 2...after + 2).contains(seconds))
    }

    @Test(arguments: ContractBackend.real)
    func `a box without a network has no interface but the loopback`(_ backend: ContractBackend) async throws {
        let interfaces = try await backend.sharedBox().run("ls", "/sys/class/net").text
        #expect(interfaces == "lo\n")
    }

    @Test(arguments: ContractBackend.withNetwork)
    func `a box with a network reaches a listener on the host through its gateway`(_ backend: ContractBackend)
        async throws
    {
        let server = try LoopbackGreeter(greeting: "hello from the host")
        defer { server.stop() }
        try await backend.withBox({ $0.network = .user }) { box in
            let script = "exec 3<>/dev/tcp/10.0.2.2/\(server.port); cat <&3"
            let result = try await box.run("bash", "-c", script)
            #expect(result.text == "hello from the host", "\(result.errorText)")
        }
    }

    @Test(arguments: ContractBackend.real)
    func `a timeout kills every descendant`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        var request = ExecRequest(["sh", "-c", "setsid sleep 4242 & sleep 4242"])
        request.timeout = .seconds(1)
        #expect(try await box.run(request).exit.timedOut)
        #expect(try await box.run("pgrep", "-f", "sleep 4242").exit.status == .code(1))
    }

    @Test(arguments: ContractBackend.real)
    func `a fork bomb hits the process limit and the agent goes on`(_ backend: ContractBackend) async throws {
        try await backend.withBox({ $0.policy.maxProcesses = 64 }) { box in
            var bomb = ExecRequest(["bash", "-c", "f() { f | f & }; f; sleep 5"])
            bomb.timeout = .seconds(3)
            _ = try await box.run(bomb)
            let first = try await box.run("echo", "alive").text
            #expect(first == "alive\n")
        }
    }

    @Test(arguments: ContractBackend.real)
    func `a program that takes all memory is ended and reported`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let tooMuch = ContractBackend.memory.bytes * 2
        let result = try await box.run("python3", "-c", "x = bytearray(\(tooMuch)); print(len(x))")
        #expect(result.exit.status != .code(0))
        let hog = try await box.run("python3", "-c", "x = []\nwhile True: x.append(b'x' * (1 << 24))")
        #expect(hog.exit.outOfMemory)
        #expect(hog.exit.status == .signal(9))
        #expect(try await box.run("echo", "alive").text == "alive\n")
    }

    @Test(arguments: ContractBackend.real)
    func `a full disk is the program's trouble, not the agent's`(_ backend: ContractBackend) async throws {
        try await backend.withBox { box in
            let full = try await box.run("sh", "-c", "cat /dev/zero > /workspace/fill; ls -s /workspace/fill >&2")
            #expect(full.errorText.contains("No space left on device"))
            let error = await #expect(throws: SandboxError.self) {
                try await box.writeFile("/workspace/more", [UInt8](repeating: 1, count: 1 << 20))
            }
            #expect(error?.code == .resourceExhausted)
            let first = try await box.run("echo", "alive").text
            #expect(first == "alive\n")
            try await box.remove("/workspace/fill", recursive: false)
            try await box.writeFile("/workspace/more", [1])
        }
    }

    @Test(arguments: ContractBackend.real)
    func `limits hold from the first exec`(_ backend: ContractBackend) async throws {
        try await backend.withBox({
            $0.policy.maxOpenFiles = 99
            $0.policy.maxFileSize = .mebibytes(1)
        }) { box in
            let first = try await box.run("sh", "-c", "ulimit -n").text
            #expect(first == "99\n")
            let large = try await box.run("head", "-c", "2M", "/dev/zero")
            #expect(large.exit.status == .code(0), "a pipe is not a file")
            let written = try await box.run("sh", "-c", "head -c 2M /dev/zero > /tmp/large; stat -c %s /tmp/large")
            #expect(written.text == "1048576\n")
        }
    }

    @Test(arguments: ContractBackend.real)
    func `a terminal has its size, colours through, and the program's status`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        var request = ExecRequest(["bash", "-c", "stty size; read line; stty size; echo \"got $line\"; exit 7"])
        request.terminal = TerminalSize(columns: 91, rows: 27)
        let session = try await box.exec(request)
        var text = ""
        var exit: ExecExit?
        var answered = false
        while let event = try await session.nextEvent() {
            switch event {
            case .stdout(let bytes): text += String(decoding: bytes, as: UTF8.self)
            case .stderr: Issue.record("a terminal has one stream")
            case .exited(let end): exit = end
            }
            if !answered, text.contains("27 91") {
                answered = true
                try await session.resize(TerminalSize(columns: 120, rows: 40))
                try await session.write(Array("word\n".utf8))
            }
        }
        #expect(text.contains("40 120"))
        #expect(text.contains("got word"))
        #expect(exit?.status == .code(7))
    }

    @Test(arguments: ContractBackend.real)
    func `a detached program outlives its session and can be attached to`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        var request = ExecRequest(["sh", "-c", "echo before; read go; echo after; exit 3"])
        request.isDetached = true
        request.keepsInputOpen = true
        let first = try await box.exec(request)
        #expect(try await first.nextEvent() == .stdout(Array("before\n".utf8)))
        await first.close()
        #expect(try await box.listExecs().contains { $0.id == first.id && !$0.isAttached })
        let second = try await box.attach(to: first.id)
        try await second.write(Array("go\n".utf8))
        var text = ""
        var exit: ExecExit?
        while let event = try await second.nextEvent() {
            if case .stdout(let bytes) = event { text += String(decoding: bytes, as: UTF8.self) }
            if case .exited(let end) = event { exit = end }
        }
        #expect(text == "after\n")
        #expect(exit?.status == .code(3))
    }

    @Test(arguments: ContractBackend.real)
    func `a host directory is mounted, writable or not`(_ backend: ContractBackend) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "voidbox-share,\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try Data("from the host".utf8).write(to: directory.appending(path: "in"))
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: directory.path)
        try await backend.withBox({
            $0.shares = [
                .init(hostPath: directory.path, guestPath: "/mnt/rw", isReadOnly: false),
                .init(hostPath: directory.path, guestPath: "/mnt/ro", isReadOnly: true),
            ]
        }) { box in
            let first = try await box.health().warnings
            #expect(first == [])
            let second = try await box.run("cat", "/mnt/ro/in").text
            #expect(second == "from the host")
            let third = try await box.run("sh", "-c", "echo back > /mnt/rw/out").exit.status
            #expect(third == .code(0))
            let fourth = try await box.run("sh", "-c", "echo no > /mnt/ro/out").exit.status
            #expect(fourth != .code(0))
        }
        #expect(try String(contentsOf: directory.appending(path: "out"), encoding: .utf8) == "back\n")
    }

    @Test(arguments: ContractBackend.withUnmappedShares)
    func `a writable directory that the box's user cannot write is told at boot`(_ backend: ContractBackend)
        async throws
    {
        let directory = FileManager.default.temporaryDirectory.appending(path: "voidbox-share-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
        let share = SandboxConfiguration.Share(hostPath: directory.path, guestPath: "/mnt/out", isReadOnly: false)
        let warnings = try await backend.withBox({ $0.shares = [share] }) { box in try await box.health().warnings }
        #expect(warnings.count == 1)
        #expect(warnings.first?.hasPrefix("/mnt/out is mounted for writing, but programs run as uid 1000") == true)
    }

    @Test(arguments: ContractBackend.real)
    func `a directory that cannot be mounted ends the boot and is named`(_ backend: ContractBackend) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "voidbox-share-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let error = try await backend.bootError {
            $0.shares = ["/mnt/ro", "/mnt/ro/inner"].map {
                .init(hostPath: directory.path, guestPath: $0, isReadOnly: true)
            }
        }
        #expect(error?.code == .bootFailed)
        #expect(error?.description.contains("on /mnt/ro/inner: mkdir /mnt/ro/inner: Read-only file system") == true)
    }

    @Test(arguments: ContractBackend.real)
    func `the kernel's own protections are on, and nothing is compacted ahead`(_ backend: ContractBackend) async throws
    {
        let box = try await backend.sharedBox()
        let names = [
            "user/max_user_namespaces", "kernel/dmesg_restrict", "kernel/kptr_restrict", "fs/protected_symlinks",
            "fs/protected_hardlinks", "fs/protected_fifos", "fs/protected_regular", "vm/compaction_proactiveness",
        ]
        let values = try await box.run(ExecRequest(["cat"] + names.map { "/proc/sys/\($0)" })).text
        #expect(values == "0\n1\n2\n1\n1\n2\n2\n0\n")
        let namespace = try await box.run("unshare", "--user", "true")
        #expect(namespace.exit.status != .code(0))
        let link = try await box.run("sh", "-c", "ln /etc/shadow /workspace/shadow")
        #expect(link.errorText.contains("Operation not permitted"), "\(link.errorText)")
        let temporary = try await box.run("sh", "-c", "grep ' /tmp ' /proc/self/mounts").text
        #expect(temporary.contains("nosuid,nodev"), "\(temporary)")
    }

    @Test(arguments: ContractBackend.real)
    func `a link that a program made does not lead the host to what only root may read`(_ backend: ContractBackend)
        async throws
    {
        let box = try await backend.sharedBox()
        _ = try await box.run("sh", "-c", "rm -rf out way; ln -s /etc/shadow out; ln -s /etc way")
        for path in ["/workspace/out", "/workspace/way/shadow"] {
            let error = await #expect(throws: SandboxError.self) { try await box.readFile(path, limit: 1 << 20) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains("a symbolic link, which is not followed") == true)
        }
    }

    @Test(arguments: ContractBackend.real)
    func `a kernel that is no kernel is one clear error`(_ backend: ContractBackend) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "no-kernel-\(UUID())")
        try Data("not a kernel".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let error = try await backend.bootError { $0.boot.kernel = file.path }
        #expect(error?.code == .hostUnsupported)
        #expect(error?.resource == file.path)
    }

    @Test(arguments: ContractBackend.real)
    func `an initramfs that is none ends the boot with the guest's last words`(_ backend: ContractBackend) async throws
    {
        let file = FileManager.default.temporaryDirectory.appending(path: "no-initramfs-\(UUID())")
        try Data(Array("070701".utf8) + [UInt8](repeating: 0x55, count: 4096)).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let error = try await backend.bootError { $0.boot.initramfs = file.path }
        #expect(error?.code == .bootFailed)
        #expect(error?.description.contains("panic") == true)
    }

    @Test(arguments: ContractBackend.real)
    func `a boot that is cancelled leaves no process`(_ backend: ContractBackend) async throws {
        let configuration = try backend.configuration("cancelled")
        let program = try NamedProgram(of: backend)
        let machine = try backend.backend(environment: program.environment)
        let task = Task { try await machine.boot(configuration) }
        // Without a pause: a machine of our own boots in a moment.
        let deadline = ContinuousClock.now + .seconds(120)
        var started: [Int32] = []
        while started.isEmpty, ContinuousClock.now < deadline {
            await Task.yield()
            started = program.processes
        }
        task.cancel()
        #expect(!started.isEmpty)
        await #expect(throws: (any Error).self) { _ = try await task.value }
        #expect(program.processes.isEmpty)
    }
}

/// A backend's program under a name of its own, by which its processes are told from those of other tests' boxes.
private final class NamedProgram {
    /// At most 15 bytes, which is what the kernel keeps of it.
    private let name: String
    private let link: URL
    /// In which the backend finds it.
    let environment: [String: String]

    init(of backend: ContractBackend) throws {
        name = "box-\(String(UInt32.random(in: .min ... .max), radix: 16))"
        link = FileManager.default.temporaryDirectory.appending(path: name)
        let usual = ProcessInfo.processInfo.environment
        let program = backend == .kvm ? HostProgram.worker : HostProgram.qemu
        environment = usual.merging([program.variable: link.path]) { $1 }
        try FileManager.default.createSymbolicLink(
            atPath: link.path,
            withDestinationPath: try program.locate(environment: usual),
        )
    }

    deinit {
        try? FileManager.default.removeItem(at: link)
    }

    /// Also one that has ended and that nobody has reaped: it has no command line any more, but its name.
    var processes: [Int32] {
        HostFacts.processes().filter { HostFacts.text(of: "/proc/\($0)/comm") == "\(name)\n" }
    }
}

/// The processes with machines that this process started.
enum ProcessList {
    static func boxes() -> Set<Int32> {
        Set(
            HostFacts.processes().filter { pid in
                HostFacts.text(of: "/proc/\(pid)/cmdline")?.contains("voidbox-box-\(HostFacts.processID)-") == true
            }
        )
    }
}
