import LinuxSystem
import Testing

@Suite("Child processes", .timeLimit(.minutes(10))) struct ChildProcessTests {
    /// Runs a shell command and returns what it wrote and how it ended.
    private func shell(
        _ command: String,
        _ change: (inout SpawnRequest) -> Void = { _ in },
    ) async throws -> (output: String, status: TerminationStatus) {
        var request = SpawnRequest(path: "/bin/sh", argv: ["sh", "-c", command], environment: ["PATH=/usr/bin:/bin"])
        change(&request)
        let output = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let spawner = try Spawner()
        let process = try await spawner.spawn(
            request,
            descriptors: [nothing.rawValue, output.second.rawValue, output.second.rawValue],
        )
        let reading = output.keepFirst()
        let text = String(decoding: try reading.readAll(limit: 1 << 20), as: UTF8.self)
        return (text, try await process.waitForEnd())
    }

    @Test func `output and exit status arrive`() async throws {
        let (output, status) = try await shell("echo hello; exit 7")
        #expect(output == "hello\n")
        #expect(status == .exited(7))
    }

    @Test func `a signal is a signal`() async throws {
        #expect(try await shell("kill -9 $$").status == .signalled(9))
    }

    @Test func `a program that is not there fails at the step that executes`() async throws {
        let error = #expect(throws: SpawnError.self) {
            _ = try ChildProcess.spawn(SpawnRequest(path: "/no/such", argv: ["x"], environment: []), descriptors: [])
        }
        #expect(error?.step == .execute)
        #expect(error?.errno == .notFound)
    }

    @Test func `a working directory that is not there fails at its own step`() async throws {
        let error = await #expect(throws: SpawnError.self) {
            try await shell("true") { $0.workingDirectory = "/no/such" }
        }
        #expect(error?.step == .workingDirectory)
    }

    @Test func `limits and the working directory hold in the child`() async throws {
        let (output, _) = try await shell("ulimit -n; pwd") {
            $0.limits = [ResourceLimit(.openFiles, 77)]
            $0.workingDirectory = "/usr"
        }
        #expect(output == "77\n/usr\n")
    }

    @Test func `a child has the descriptors it was given and no others, also when they swap places`() async throws {
        let output = try OwnedFD.pipe()
        let first = try OwnedFD.memoryFile(named: "first", contents: Array("first".utf8))
        let second = try OwnedFD.memoryFile(named: "second", contents: Array("second".utf8))
        // The child's 3 and 4 are our second and first, in whatever order their numbers are.
        let request = SpawnRequest(
            path: "/bin/sh",
            argv: ["sh", "-c", "readlink /proc/self/fd/3 /proc/self/fd/4; ls /proc/self/fd | wc -l"],
            environment: ["PATH=/usr/bin:/bin"],
        )
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let process = try ChildProcess.spawn(
            request,
            descriptors: [nothing.rawValue, output.second.rawValue, 2, second.rawValue, first.rawValue],
        )
        let reading = output.keepFirst()
        let lines = String(decoding: try reading.readAll(limit: 4096), as: UTF8.self).split(separator: "\n")
        #expect(lines.map { $0.contains("second") } == [true, false, false])
        #expect(lines.count == 3 && lines[1].contains("first"))
        #expect(lines.last == "6", "0 to 4, and the directory that ls reads")
        #expect(process.pid > 0)
    }
}
