import LinuxSystem
import Testing

@testable import Jail

/// Each test runs a process that jails itself and then tries what it must not.
@Suite("Jail", .timeLimit(.minutes(10))) struct JailTests {
    private func probe(
        _ user: JailProbe.User,
        waive: [JailLayer] = [],
        _ attempts: String...,
    ) async throws -> JailProbe {
        let waivers = waive.flatMap { ["--waive", $0.rawValue] }
        return try await JailProbe.run(arguments: user.arguments() + waivers + attempts)
    }

    @Test(arguments: JailProbe.User.allCases)
    func `all layers go on, and the report tells`(_ user: JailProbe.User) async throws {
        let probe = try await probe(user)
        #expect(probe.status == .exited(0))
        #expect(probe.layers.keys.sorted() == JailLayer.allCases.map(\.rawValue).sorted())
        for (layer, state) in probe.layers where layer != "namespaces" { #expect(state == "installed", "\(layer)") }
        #expect(probe.layers["namespaces"]?.contains("process numbers") == true)
    }

    @Test func `a waived layer is reported as waived`() async throws {
        let probe = try await probe(.unprivileged, waive: [.seccomp, .landlock])
        #expect(probe.layers["seccomp"] == "waived")
        #expect(probe.layers["landlock"] == "waived")
        #expect(probe.layers["dumpable"] == "installed")
    }

    // MARK: Layer by layer

    @Test(arguments: JailProbe.User.allCases)
    func `without paths or networks by namespaces alone`(_ user: JailProbe.User) async throws {
        let probe = try await probe(
            user,
            waive: [.seccomp, .landlock],
            "open-passwd",
            "open-proc",
            "open-up",
            "stat-passwd",
            "list-root",
            "create-in-root",
            "execute",
            "connect-tcp",
            "interfaces",
        )
        #expect(
            probe.results == [
                "open-passwd": "ENOENT", "open-proc": "ENOENT", "open-up": "ENOENT", "stat-passwd": "ENOENT",
                "list-root": "empty", "create-in-root": "EROFS", "execute": "ENOENT", "connect-tcp": "ENETUNREACH",
                "interfaces": "lo down",
            ]
        )
    }

    @Test(arguments: JailProbe.User.allCases)
    func `without paths or networks by Landlock alone`(_ user: JailProbe.User) async throws {
        let probe = try await probe(
            user,
            waive: [.seccomp, .namespaces],
            "open-passwd",
            "open-proc",
            "list-root",
            "create-in-root",
            "execute",
            "connect-tcp",
            "signal-parent",
        )
        #expect(probe.layers["landlock"] == "installed", "else this kernel's ABI is old")
        #expect(
            probe.results == [
                "open-passwd": "EACCES", "open-proc": "EACCES", "list-root": "EACCES", "create-in-root": "EACCES",
                "execute": "EACCES", "connect-tcp": "EACCES", "signal-parent": "EPERM",
            ]
        )
    }

    @Test func `an abstract socket of the host's is out of reach by either`() async throws {
        let listener = try AbstractListener(name: "voidbox-jail-test-\(HostFacts.processID)")
        let jail = try await probe(.unprivileged, waive: [.seccomp, .landlock], "connect-abstract")
        #expect(jail.results["connect-abstract"] == "ECONNREFUSED", "there is none in its network namespace")
        let landlock = try await probe(.unprivileged, waive: [.seccomp, .namespaces], "connect-abstract")
        #expect(landlock.results["connect-abstract"] == "EPERM")
        let open = try await probe(.unprivileged, waive: [.seccomp, .namespaces, .landlock], "connect-abstract")
        #expect(open.results["connect-abstract"] == "ok", "the attempt itself is sound")
        let isOpen = listener.isOpen
        #expect(isOpen)
    }

    @Test(arguments: JailProbe.User.allCases)
    func `without privileges`(_ user: JailProbe.User) async throws {
        let probe = try await probe(
            user,
            waive: [.seccomp],
            "capabilities",
            "user",
            "become-root",
            "mount",
            "host-name",
            "dumpable",
            "core-limit",
        )
        #expect(probe.results["capabilities"] == "0")
        #expect(probe.results["user"] != "0")
        #expect(probe.results["become-root"] != "ok")
        #expect(probe.results["mount"] == "EPERM")
        #expect(probe.results["host-name"] == "EPERM")
        #expect(probe.results["dumpable"] == "no")
        #expect(probe.results["core-limit"] == "0")
    }

    @Test func `two workers of root's are two users`() async throws {
        let first = try await probe(.root, waive: [.seccomp], "user").results["user"]
        let second = try await probe(.root, waive: [.seccomp], "user").results["user"]
        #expect(first != second)
        #expect(try UInt32(#require(first)).map { $0 >= 0x7000_0000 } == true)
    }

    @Test func `a root that is to stay root has no capabilities`() async throws {
        let user = try JailProbe.User.root.arguments()
        let probe = try await JailProbe.run(
            arguments: user + [
                "--identity", "root", "--waive", "seccomp", "capabilities", "user", "mount", "host-name",
            ]
        )
        #expect(probe.results == ["capabilities": "0", "user": "0", "mount": "EPERM", "host-name": "EPERM"])
        #expect(probe.layers["credentials"] == "installed")
        #expect(probe.layers["resourceLimits"] == "installed")
    }

    @Test(arguments: JailProbe.User.allCases)
    func `descriptors and threads are bounded`(_ user: JailProbe.User) async throws {
        let probe = try await JailProbe.run(
            arguments: user.arguments()
                + ["--waive", "seccomp", "--threads", "5", "--files", "50", "open-files", "threads-until-refused"]
        )
        #expect(probe.results["threads-until-refused"] == "4 EAGAIN")
        let files = try #require(probe.results["open-files"]).split(separator: " ")
        #expect(files.last == "EMFILE")
        #expect(try #require(Int(files[0])) < 50)
    }

    // MARK: The filter

    @Test(arguments: [
        "execute", "spawn", "socket", "connect-tcp", "connect-abstract", "interfaces", "signal-parent", "map-code",
        "protect-code", "host-name", "mount", "become-root",
    ])
    func `the filter ends a process that tries to`(_ attempt: String) async throws {
        let probe = try await probe(.unprivileged, attempt)
        #expect(probe.status == JailProbe.endedByFilter)
        #expect(probe.results.isEmpty)
        let alone = try await self.probe(.unprivileged, waive: [.namespaces, .landlock], attempt)
        #expect(alone.status == JailProbe.endedByFilter)
    }

    @Test func `the filter alone opens no path, and says so in the way that the C library expects`() async throws {
        let probe = try await probe(
            .unprivileged,
            waive: [.namespaces, .landlock],
            "open-passwd",
            "open-proc",
            "create-in-root",
        )
        #expect(probe.status == .exited(0))
        #expect(probe.results == ["open-passwd": "ENOENT", "open-proc": "ENOENT", "create-in-root": "ENOENT"])
    }

    @Test func `one run can show all that the filter stops`() async throws {
        let user = try JailProbe.User.unprivileged.arguments()
        let attempts = ["execute", "socket", "signal-parent", "map-code", "protect-code", "mount", "become-root"]
        let probe = try await JailProbe.run(arguments: user + ["--errno"] + attempts)
        for attempt in attempts { #expect(probe.results[attempt] == "EUCLEAN", "\(attempt)") }
    }

    @Test(arguments: JailProbe.User.allCases)
    func `what a worker needs goes on working`(_ user: JailProbe.User) async throws {
        let input = try OwnedFD.memoryFile(named: "input", contents: Array("here".utf8))
        let again = try OwnedFD.open("/proc/self/fd/\(input.rawValue)", OwnedFD.readOnly)
        let output = try OwnedFD.pipe()
        let probe = try await JailProbe.run(
            arguments: user.arguments() + ["read-3", "write-4", "map-data", "thread", "narrow", "open-passwd"],
            descriptors: [again.rawValue, output.second.rawValue],
        )
        #expect(probe.status == .exited(0))
        #expect(
            probe.results == [
                "read-3": "here", "write-4": "ok", "map-data": "ok", "thread": "ok", "narrow": "EUCLEAN",
                "open-passwd": "ENOENT",
            ]
        )
        #expect(try output.keepFirst().read(upTo: 10) == .bytes(Array("there".utf8)))
    }

    // MARK: The parent

    @Test(arguments: JailProbe.User.allCases)
    func `the signal for the parent's death outlives the change of user`(_ user: JailProbe.User) async throws {
        let probe = try await JailProbe.run(
            arguments: user.arguments() + ["--death-signal", "9", "--waive", "seccomp", "parent-death-signal"]
        )
        #expect(probe.results["parent-death-signal"] == "9")
    }

    @Test func `as process 1 of its own namespace nothing is missing`() async throws {
        let probe: JailProbe
        do {
            probe = try await JailProbe.run(arguments: ["--waive", "seccomp", "process", "signal-parent"]) {
                $0.startsProcessNamespace = true
                $0.parentDeathSignal = 9
            }
        } catch let error as SpawnError where error.errno == .notPermitted {
            try Test.cancel("this host allows no new PID namespace: \(error)")
        }
        #expect(probe.layers["namespaces"] == "installed")
        #expect(probe.results["process"] == "1")
    }

    @Test func `a process with several threads is refused, for only one would be bound`() throws {
        let error = #expect(throws: JailError.self) {
            // This process has threads, and the first two layers change nothing that matters to it.
            var plan = JailPlan(seccomp: SeccompFilter(defaultAction: .allow))
            plan.waived = Set(JailLayer.allCases).subtracting([.namespaces])
            _ = try Jail.apply(plan)
        }
        #expect(error?.layer == .namespaces)
        guard case .severalThreads(let count) = error?.cause else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(count > 1)
    }
}
