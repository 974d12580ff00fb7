import FoundationEssentials
import GuestAPI
import LinuxSystem
import TTRPC
import Testing

@testable import GuestAgentCore

@Suite("Exec", .enabled(if: AgentFixture.mayRun, "the agent starts programs as other users, which only root may do"))
struct ExecServiceTests {
    @Test func `output, errors and exit code arrive, the exit last`() async throws {
        try await AgentFixture.with { agent in
            let exec = try await agent.shell("echo out; echo err >&2; exit 3")
            #expect(exec.out == "out\n")
            #expect(exec.errors == "err\n")
            #expect(exec.exited?.how == .code(3))
            #expect(exec.exited?.timedOut == false)
        }
    }

    @Test func `a program runs as the sandbox user, in its directory, with the default environment`() async throws {
        try await AgentFixture.with({ $0.environment = ["BOX": "yes"] }) { agent in
            let exec = try await agent.shell("id -u; pwd; echo $HOME $USER $BOX; grep NoNewPrivs /proc/self/status")
            #expect(exec.out == "1000\n\(agent.directory)\n/home/sandbox sandbox yes\nNoNewPrivs:\t1\n")
        }
    }

    @Test func `the limits of the policy hold`() async throws {
        try await AgentFixture.with({
            $0.policy.maxOpenFiles = 123
            $0.policy.maxFileBytes = 4096
        }) { agent in
            let exec = try await agent.shell("ulimit -n; head -c 10000 /dev/zero > big; stat -c %s big")
            #expect(exec.out == "123\n4096\n")
        }
    }

    @Test func `a signal is reported as a signal`() async throws {
        try await AgentFixture.with { agent in
            let exec = try await agent.shell("kill -TERM $$")
            #expect(exec.exited?.how == .signal(15))
        }
    }

    @Test func `a refused program is named, and nothing runs`() async throws {
        try await AgentFixture.with({
            $0.policy.allowAnyProgram = false
            $0.policy.allowedPrograms = ["ls"]
        }) { agent in
            let status = await agent.status { try await agent.exec(["/bin/cat", "/etc/passwd"]).finish() }
            #expect(status?.code == .permissionDenied)
            #expect(status?.message.contains("\"cat\" is not allowed") == true)
        }
    }

    @Test func `what cannot start says why`() async throws {
        try await AgentFixture.with { agent in
            var status = await agent.status { try await agent.exec(["no-such-program"]).finish() }
            #expect(status?.code == .notFound)
            #expect(status?.message.contains("no-such-program") == true)
            status = await agent.status { try await agent.exec(["ls"]) { $0.workingDirectory = "/nowhere" }.finish() }
            #expect(status?.code == .notFound)
            #expect(status?.message == "working directory /nowhere: No such file or directory")
            status = await agent.status { try await agent.exec(["ls"]) { $0.user = "nobody-here" }.finish() }
            #expect(status?.code == .notFound)
            status = await agent.status { try await agent.exec([]).finish() }
            #expect(status?.code == .invalidArgument)
            // Not written here: a process that another test spawns meanwhile would have a copy of the descriptor until
            // its program runs, and a file that is open for writing is not executed (`ETXTBSY`).
            let written = try await agent.shell(#"printf '#!/no/interpreter\n' > script; chmod 755 script"#)
            #expect(written.exited?.how == .code(0))
            status = await agent.status { try await agent.exec(["./script"]).finish() }
            #expect(status?.code == .failedPrecondition)
        }
    }

    @Test func `large input and output pass at once under credit`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["cat"]) { $0.stdinOpen = true }
            let data = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try await exec.write(data)
            try exec.closeInput()
            try await exec.finish()
            #expect(exec.stdout == data)
        }
    }

    @Test func `a program that stops reading does not hang its client`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["head", "-c", "5"]) { $0.stdinOpen = true }
            try await exec.write([UInt8](repeating: 65, count: 3 << 20))
            try await exec.finish()
            #expect(exec.out == "AAAAA")
        }
    }

    @Test func `output waits for credit, and none is lost`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["head", "-c", "5000000", "/dev/zero"])
            var received = 0
            while received < 1 << 20 {
                guard case .stdout(let data) = try await exec.stream.receive()?.kind else { continue }
                received += data.count
            }
            #expect(received == 1 << 20)
            // Nothing more may come now, so an answer to another call comes before it.
            let health = try await agent.call(
                "Health",
                Voidbox_Guest_V1_HealthRequest(),
                Voidbox_Guest_V1_HealthResponse.self,
            )
            #expect(health.activeExecs == 1)
            try exec.stream.send { $0.outputCredit = 1 << 20 }
            try await exec.finish()
            #expect(exec.stdout.count == 5_000_000 - (1 << 20))
        }
    }

    @Test func `credit that was not due ends the stream and the program`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["sleep", "100"])
            try await exec.step { !$0.id.isEmpty }
            try exec.stream.send { $0.outputCredit = 1 }
            let status = await agent.status { try await exec.finish() }
            #expect(status?.code == .invalidArgument)
        }
    }

    @Test func `a timeout kills the program with its descendants`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["bash", "-c", "sleep 1000 & setsid sleep 1000 & wait"]) {
                $0.timeoutNanos = 100_000_000
            }
            try await exec.finish()
            #expect(exec.exited?.timedOut == true)
            #expect(exec.exited?.how == .signal(9))
        }
    }

    @Test func `a descendant that keeps the output open does not keep the exec`() async throws {
        try await AgentFixture.with { agent in
            let exec = try await agent.shell("sleep 1000 & echo started")
            #expect(exec.out == "started\n")
            #expect(exec.exited?.how == .code(0))
        }
    }

    @Test func `what is on its way when the program ends still arrives`() async throws {
        // On a busy host two more programs may need longer than the usual grace to come up. It is over when they are.
        try await AgentFixture.with(outputGrace: .seconds(60)) { agent in
            let exec = try await agent.shell("(echo late) > >(cat) & echo early")
            #expect(exec.out.contains("late"))
            #expect(exec.out.contains("early"))
        }
    }

    @Test func `many execs at once keep their outputs apart`() async throws {
        try await AgentFixture.with { agent in
            try await withThrowingTaskGroup(of: (Int, String).self) { group in
                for index in 0..<16 {
                    group.addTask {
                        let exec = try await agent.shell("for i in 1 2 3; do echo \(index); done")
                        return (index, exec.out)
                    }
                }
                for try await (index, output) in group { #expect(output == "\(index)\n\(index)\n\(index)\n") }
            }
        }
    }

    @Test func `a client that goes takes its program along`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["bash", "-c", "echo $$; sleep 1000"])
            try await exec.step { !$0.stdout.isEmpty }
            let pid = try #require(Int32(exec.out.dropLast()))
            exec.stream.stream.cancel()
            while FileSystem.exists("/proc/\(pid)") { await Task.yield() }
        }
    }

    @Test func `a detached program outlives its client, and the next one gets what it wrote`() async throws {
        try await AgentFixture.with { agent in
            let first = try agent.exec(["bash", "-c", "echo one; read x; echo two $x"]) {
                $0.detached = true
                $0.stdinOpen = true
            }
            try await first.step { $0.out == "one\n" }
            first.stream.stream.cancel()
            var list = try await agent.call(
                "ListExecs",
                Voidbox_Guest_V1_Empty(),
                Voidbox_Guest_V1_ListExecsResponse.self
            )
            while list.execs.contains(where: \.attached) {
                list = try await agent.call(
                    "ListExecs",
                    Voidbox_Guest_V1_Empty(),
                    Voidbox_Guest_V1_ListExecsResponse.self,
                )
            }
            #expect(list.execs.map(\.execID) == [first.id])
            let second = try agent.attach(first.id)
            try await second.write(Array("three\n".utf8))
            try await second.finish()
            #expect(second.out == "two three\n")
            #expect(second.exited?.how == .code(0))
            let status = await agent.status { try await agent.attach(first.id).finish() }
            #expect(status?.code == .notFound)
        }
    }

    @Test func `what a client got and did not consume goes to the next one`() async throws {
        try await AgentFixture.with { agent in
            let first = try agent.exec(["bash", "-c", "echo one; read x; echo two"]) {
                $0.detached = true
                $0.stdinOpen = true
            }
            #expect(try await first.stream.receive()?.started.execID == "e1")
            #expect(try await first.stream.receive()?.stdout == Data("one\n".utf8))
            first.stream.stream.cancel()
            while try await agent.call("ListExecs", Voidbox_Guest_V1_Empty(), Voidbox_Guest_V1_ListExecsResponse.self)
                .execs.contains(where: \.attached)
            {}
            let second = try agent.attach("e1")
            try await second.write([10])
            try await second.finish()
            #expect(second.out == "one\ntwo\n")
        }
    }

    @Test func `output beyond what is kept for the next client is counted`() async throws {
        try await AgentFixture.with { agent in
            let first = try agent.exec(["bash", "-c", "read x; head -c 3000000 /dev/zero; echo end"]) {
                $0.detached = true
                $0.stdinOpen = true
            }
            try await first.step { !$0.id.isEmpty }
            try await first.write([10])
            first.stream.stream.cancel()
            // It is over when it does not run any more; its end waits for a client.
            while try await agent.call("Health", Voidbox_Guest_V1_HealthRequest(), Voidbox_Guest_V1_HealthResponse.self)
                .activeExecs > 0
            {}
            let second = try agent.attach(first.id)
            try await second.finish()
            let dropped = Int(second.exited?.droppedOutputBytes ?? 0)
            #expect(second.stdout.count <= 1 << 20)
            #expect(second.stdout.suffix(4) == Array("end\n".utf8)[...])
            #expect(first.stdout.count + dropped + second.stdout.count <= 3_000_004)
            #expect(dropped > 0)
        }
    }

    @Test func `a second client is refused while one is there`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["sleep", "1000"])
            try await exec.step { !$0.id.isEmpty }
            let status = await agent.status { try await agent.attach(exec.id).finish() }
            #expect(status?.code == .failedPrecondition)
        }
    }

    @Test func `signals reach a program through its stream and by its name`() async throws {
        try await AgentFixture.with { agent in
            let script =
                "trap 'echo usr1' USR1; trap 'echo usr2; exit 7' USR2; echo ready; while :; do sleep 0.01; done"
            let exec = try agent.exec(["bash", "-c", script])
            try await exec.step { $0.out == "ready\n" }
            try exec.stream.send { $0.signal = 10 }
            try await exec.step { $0.out == "ready\nusr1\n" }
            var request = Voidbox_Guest_V1_SignalExecRequest()
            request.execID = exec.id
            request.signal = 12
            _ = try await agent.call("SignalExec", request)
            try await exec.finish()
            #expect(exec.exited?.how == .code(7))
            let status = await agent.status { _ = try await agent.call("SignalExec", request) }
            #expect(status?.code == .notFound)
        }
    }

    @Test func `a terminal has a size, an echo and one output`() async throws {
        try await AgentFixture.with { agent in
            let script = "stty size; test -t 0 -a -t 1 -a -t 2 && echo tty; read x; stty size; echo $x >&2"
            let exec = try agent.exec(["bash", "-c", script]) {
                $0.terminal.columns = 100
                $0.terminal.rows = 30
                $0.stdinOpen = true
            }
            try await exec.step { $0.out.contains("tty\r\n") }
            try exec.stream.send {
                $0.resize.columns = 120
                $0.resize.rows = 40
            }
            try await exec.write(Array("hello\n".utf8))
            try await exec.finish()
            #expect(exec.out == "30 100\r\ntty\r\nhello\r\n40 120\r\nhello\r\n")
            #expect(exec.stderr.isEmpty)
            #expect(exec.exited?.how == .code(0))
        }
    }

    @Test func `closing the input of a terminal is an end of file`() async throws {
        try await AgentFixture.with { agent in
            let exec = try agent.exec(["cat"]) {
                $0.terminal.columns = 80
                $0.terminal.rows = 24
                $0.stdinOpen = true
            }
            try await exec.write(Array("x\n".utf8))
            try exec.closeInput()
            try await exec.finish()
            #expect(exec.out == "x\r\nx\r\n")
        }
    }
}
