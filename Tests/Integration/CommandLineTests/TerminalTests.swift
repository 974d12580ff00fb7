import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("voidbox shell", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct TerminalTests {
    private func shell(_ arguments: [String], _ steps: String) async throws -> VoidBoxProcess.Result {
        try await talk(["shell"] + arguments, steps)
    }

    @Test func `an agent's own user interface is shown, and is talked to`() async throws {
        let result = try await shell(
            ["--file", Repository.example("interactive.yaml")],
            """
            [{"wait": "bypass permissions on"}, {"type": "hello there"}, {"wait": "hello there"}, {"type": "\\r"},
             {"wait": "I am its user sandbox"}, {"resize": [90, 25]}, {"type": "/exit\\r"}, {"end": true}]
            """
        )
        #expect(result.status == 0, "\(result.output) \(result.errors)")
    }

    @Test func `a program's terminal has the user's size and keys, and its status is passed on`() async throws {
        // Only who is begun has the terminal: before, an interrupt would go to the shell alone.
        let result = try await shell(
            ["--file", Repository.example("interactive.yaml"), "sh"],
            """
            [{"wait": "$"}, {"type": "stty size\\r"}, {"wait": "30 100"}, {"wait": "$"}, {"resize": [90, 25]},
             {"type": "sh -c 'echo beg$0; exec sleep 1000' un\\r"}, {"wait": "begun"}, {"type": "\\u0003"}, {"wait": "$"},
             {"type": "stty size\\r"}, {"wait": "25 90"}, {"type": "exit 7\\r"}, {"end": true}]
            """
        )
        #expect(result.status == 7, "\(result.output) \(result.errors)")
    }

    @Test func `a shell that was left goes on, and is come back to`() async throws {
        let directory = try SpecDirectory()
        let left = try await talk(
            ["shell", "--detach-keys", "ctrl-p,q", "sh"],
            """
            [{"wait": "$"}, {"type": "i=0; while sleep 0.2; do i=$((i+1)); echo tick-$i; done\\r"}, {"wait": "tick-2"},
             {"type": "\\u0010q"}, {"wait": "detached; come back with: voidbox attach"}, {"end": true}]
            """,
            environment: directory.environment
        )
        #expect(left.status == 0, "\(left.output) \(left.errors)")
        let run = try await directory.voidbox("ps", "--quiet").output.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(run.count == 36, "it is under way: \(run)")
        // A new size and what is typed come to the guest in ways of their own, so it waits for the size by itself.
        let back = try await talk(
            ["attach", run],
            """
            [{"wait": "tick-1"}, {"wait": "tick-9"}, {"type": "\\u0003"}, {"wait": "$"}, {"resize": [90, 25]},
             {"type": "until stty size | grep -q '25 90'; do sleep 0.1; done; sh -c 'echo resi$0' zed\\r"},
             {"wait": "resized"}, {"type": "exit 9\\r"}, {"end": true}]
            """,
            environment: directory.environment
        )
        #expect(back.status == 9, "\(back.output) \(back.errors)")
        #expect(try await directory.voidbox("ps", "--quiet").output.trimmingCharacters(in: .newlines).isEmpty)
        let gone = try await talk(
            ["attach", run],
            #"[{"wait": "has ended"}, {"end": true}]"#,
            environment: directory.environment
        )
        #expect(gone.status == 2, "\(gone.output)")
        try await VoidBoxProcess.expectNoLeaks()
    }

    @Test func `a shell whose terminal goes takes its box with it`() async throws {
        let directory = try SpecDirectory()
        let killed = try await talk(
            ["shell", "sh"],
            #"[{"wait": "$"}, {"kill": 9}, {"end": true}]"#,
            environment: directory.environment
        )
        #expect(killed.status == 137, "\(killed.output) \(killed.errors)")
        let list = try await VoidBoxProcess.run("ps", "--all", "--output", "json", environment: directory.environment)
        let rows = try JSONSerialization.jsonObject(with: Data(list.output.utf8)) as? [[String: Any]]
        let row = try #require(rows?.first)
        // Ended, or about to.
        if row["state"] as? String == "running", let pid = row["pid"] as? Int32 {
            try await eventually("the holder is gone", within: .seconds(20)) {
                HostFacts.text(of: "/proc/\(pid)/stat") == nil
            }
        }
        try await VoidBoxProcess.expectNoLeaks()
    }

    @Test func `an agent that needs a terminal says how to get one`() async throws {
        let result = try await VoidBoxProcess.run("run", "--file", Repository.example("interactive.yaml"))
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains("voidbox shell --file"), "\(result.errors)")
    }
}

/// Who has the terminal of a shell: in boxes that are none, so that it is quick.
@Suite("Terminals of voidbox shell", .timeLimit(.minutes(10))) struct HeldTerminalTests {
    private let directory: SpecDirectory

    init() throws {
        directory = try SpecDirectory()
    }

    /// The run that began last, once its program is there.
    private func run() async throws -> (id: String, holder: Int32) {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let rows = try JSONSerialization.jsonObject(
                with: Data(try await directory.voidbox("ps", "--output", "json").output.utf8)
            )
            if let row = (rows as? [[String: Any]])?.first, let id = row["id"] as? String,
                let pid = row["pid"] as? Int32, try await directory.voidbox("events", id).output.contains("box.started")
            {
                return (id, pid)
            }
        }
        throw CancellationError()
    }

    @Test func `a second terminal takes the place of the first, and cancel ends what it shows`() async throws {
        async let first = talk(
            ["shell", "--mode", "mock", "sleep", "600"],
            #"[{"wait": "the terminal is shown elsewhere now"}, {"end": true}]"#,
            environment: directory.environment
        )
        let (id, _) = try await run()
        async let second = talk(
            ["attach", id],
            #"[{"wait": "error: cancelled: by voidbox cancel"}, {"end": true}]"#,
            environment: directory.environment
        )
        #expect(try await first.status == 1)
        #expect(try await directory.voidbox("cancel", id).status == 0)
        #expect(try await second.status == 130)
    }

    @Test func `terminals that stand still hold up neither the next one nor cancel`() async throws {
        async let first = talk(
            ["shell", "--mode", "mock", "head", "-c", "1000000000000", "/dev/zero"],
            #"[{"end": true}]"#,
            environment: directory.environment
        )
        let (id, holder) = try await run()
        let stat = try #require(HostFacts.text(of: "/proc/\(holder)/stat"))
        let terminal = try #require(stat.split(separator: ")").last?.split(separator: " ").dropFirst().first)
        let standing = try #require(Int32(terminal))
        kill(standing, SIGSTOP)
        defer { kill(standing, SIGKILL) }
        // More than is replayed, and than waits in sockets.
        let second = try come(to: id, saying: Self.size)
        try second.read(4 << 20)
        // It takes less than it missed, and so takes nobody's place.
        let third = try come(to: id, saying: Self.size)
        try second.read(4 << 20)
        // Now nobody reads.
        #expect(try await directory.voidbox("cancel", id).status == 0)
        _ = consume third
        kill(standing, SIGKILL)
        #expect(try await first.status == 128 + SIGKILL)
    }

    @Test func `who comes without a size takes nothing and ends nothing`() async throws {
        async let shell = talk(
            ["shell", "--mode", "mock", "sleep", "600"],
            #"[{"wait": "interrupted; the box was stopped"}, {"end": true}]"#,
            environment: directory.environment
        )
        let (id, _) = try await run()
        _ = try come(to: id, saying: [])
        let restored: [UInt8] = [5, 0, 0, 0, 0]
        #expect(try come(to: id, saying: restored).readToEnd().isEmpty)
        #expect(try await directory.voidbox("cancel", id).status == 0)
        #expect(try await shell.status == 130)
    }

    @Test func `who types more than the program reads is sent away, and the program goes on`() async throws {
        async let shell = talk(
            ["shell", "--mode", "mock", "sleep", "600"],
            #"[{"wait": "the terminal is shown elsewhere now"}, {"end": true}]"#,
            environment: directory.environment
        )
        let (id, _) = try await run()
        let typist = try come(to: id, saying: Self.size)
        let page: [UInt8] = [1, 0, 1, 0, 0] + [UInt8](repeating: UInt8(ascii: "x"), count: 65536)
        // Far beyond what the box and its holder take.
        #expect(throws: SyscallError.self) {
            for _ in 0..<4096 { try typist.socket.writeAll(page) }
        }
        let told = try typist.readToEnd()
        #expect(String(decoding: told, as: UTF8.self).contains("the last of it was not taken"))
        #expect(try await shell.status == 1)
        #expect(try await directory.voidbox("cancel", id).status == 0)
    }

    private static let size: [UInt8] = [2, 0, 0, 0, 4, 0, 80, 0, 24]

    /// One that comes to the terminal of a run and speaks its language, or not.
    private struct Visitor: ~Copyable {
        let socket: OwnedFD

        private func chunk() throws -> [UInt8]? {
            guard try socket.waitUntilReadable(for: .seconds(120)) else { throw CancellationError() }
            do throws(SyscallError) {
                guard case .bytes(let bytes) = try socket.read(upTo: 65536) else { return nil }
                return bytes
            } catch {
                // So a peer ends that had not read all that was sent to it.
                guard error.errno == .connectionReset else { throw error }
                return nil
            }
        }

        func read(_ count: Int) throws {
            var rest = count
            while rest > 0 {
                guard let bytes = try chunk() else { throw CancellationError() }
                rest -= bytes.count
            }
        }

        func readToEnd() throws -> [UInt8] {
            var all: [UInt8] = []
            while let bytes = try chunk() { all += bytes }
            return all
        }
    }

    private func come(to run: String, saying words: [UInt8]) throws -> Visitor {
        CurrentProcess.ignoreBrokenPipes()
        let place = try Directory(directory.url.appending(path: "state/runs/\(run)").path)
        guard let socket = try OwnedFD.connected(toUnixSocket: "terminal.sock", in: place) else {
            throw CancellationError()
        }
        try socket.setBlocking()
        try socket.writeAll(words)
        return Visitor(socket: socket)
    }

    @Test func `the end of the process that holds the box is told`() async throws {
        async let shell = talk(
            ["shell", "--mode", "mock", "sleep", "600"],
            #"[{"wait": "the process that held the box has ended"}, {"end": true}]"#,
            environment: directory.environment
        )
        let (id, holder) = try await run()
        kill(holder, SIGKILL)
        #expect(try await shell.status == 125)
        let gone = try await talk(
            ["attach", id],
            #"[{"wait": "has ended"}, {"end": true}]"#,
            environment: directory.environment
        )
        #expect(gone.status == 2)
    }

    @Test func `a run without a terminal cannot be attached to`() async throws {
        let file = try directory.write(
            "slow.yaml",
            """
            kind: workflow
            name: slow
            sandbox: {mode: mock}
            workflow: {steps: [{name: sleeps, run: {program: sleep, args: ["600"]}}]}
            """
        )
        let command = try await VoidBoxProcess.start(["run", "--file", file], environment: directory.environment)
        try await command.waitForError("step sleeps started")
        let (id, _) = try await run()
        let result = try await talk(
            ["attach", id],
            #"[{"wait": "has no terminal"}, {"end": true}]"#,
            environment: directory.environment
        )
        #expect(result.status == 2)
        command.send(Signal.interrupt)
        #expect(try await command.end().status == 130)
    }
}

/// Runs `voidbox` in a terminal that does these steps: see `Tests/Support/Programs/terminal_dialogue.py`.
private func talk(
    _ arguments: [String],
    _ steps: String,
    environment: [String: String] = [:],
) async throws -> VoidBoxProcess.Result {
    let script = Repository.root.appending(path: "Tests/Support/Programs/terminal_dialogue.py").path
    let dialogue = ["/usr/bin/env", "python3", script, "300", steps, try VoidBoxProcess.program]
    return try await VoidBoxProcess.start(arguments, by: dialogue, environment: environment).end()
}
