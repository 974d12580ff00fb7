import Foundation
import Sandboxing
import TestSupport
import Testing

@Suite("Contract: exec", .takesBoxSlot) struct ExecContractTests {
    @Test(arguments: ContractBackend.all)
    func `a program's output and success arrive`(_ backend: ContractBackend) async throws {
        let result = try await backend.sharedBox().run("echo", "hello", "box")
        #expect(result.text == "hello box\n")
        #expect(result.exit.status == .code(0))
    }

    @Test(arguments: ContractBackend.all)
    func `an exit code is preserved`(_ backend: ContractBackend) async throws {
        let result = try await backend.sharedBox().run("sh", "-c", "exit 42")
        #expect(result.exit.status == .code(42))
    }

    @Test(arguments: ContractBackend.all)
    func `a program that dies of a signal reports the signal`(_ backend: ContractBackend) async throws {
        let result = try await backend.sharedBox().run("sh", "-c", "kill -9 $$")
        #expect(result.exit.status == .signal(9))
        let terminated = try await backend.sharedBox().run("sh", "-c", "kill -15 $$")
        #expect(terminated.exit.status == .signal(15))
    }

    @Test(arguments: ContractBackend.all)
    func `a timeout kills a long sleep and says so`(_ backend: ContractBackend) async throws {
        var request = ExecRequest(["sleep", "600"])
        request.timeout = .seconds(1)
        let result = try await backend.sharedBox().run(request)
        #expect(result.exit.timedOut)
        #expect(result.exit.status == .signal(9))
    }

    @Test(arguments: ContractBackend.all)
    func `a signal from the host ends a program`(_ backend: ContractBackend) async throws {
        let session = try await backend.sharedBox().exec(ExecRequest(["sleep", "600"]))
        try await session.signal(15)
        var last: ExecEvent?
        while let event = try await session.nextEvent() { last = event }
        guard case .exited(let exit)? = last else {
            Issue.record("the last event is not the exit: \(String(describing: last))")
            return
        }
        #expect(exit.status == .signal(15))
    }

    @Test(arguments: ContractBackend.all)
    func `a program that is not there is an error with its name`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let error = await #expect(throws: SandboxError.self) { try await box.run("no-such-program") }
        #expect(error?.code == .cannotStart)
        #expect(error?.description.contains("no-such-program") == true)
    }

    @Test(arguments: ContractBackend.all)
    func `a program that is not allowed is refused with its name`(_ backend: ContractBackend) async throws {
        try await backend.withBox({ $0.policy.programs = .only(["echo"]) }) { box in
            let first = try await box.run("echo", "yes").text
            #expect(first == "yes\n")
            let error = await #expect(throws: SandboxError.self) { try await box.run("cat", "/etc/passwd") }
            #expect(error?.code == .programNotAllowed)
            #expect(error?.description.contains("cat") == true)
        }
    }

    @Test(arguments: ContractBackend.all)
    func `a hundred programs in a row each give their output`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        for number in 1...100 {
            #expect(try await box.run("echo", "number \(number)").text == "number \(number)\n")
        }
    }

    @Test(arguments: ContractBackend.all)
    func `sixteen programs at once each give their own output`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for number in 0..<16 {
                group.addTask {
                    let input = Array("program \(number)\n".utf8)
                    return (number, try await box.run(ExecRequest(["cat"]), input: input).text)
                }
            }
            for try await (number, text) in group { #expect(text == "program \(number)\n") }
        }
    }

    @Test(arguments: ContractBackend.all)
    func `64 MiB of output arrive whole`(_ backend: ContractBackend) async throws {
        let count = 64 << 20
        let session = try await backend.sharedBox().exec(ExecRequest(["head", "-c", "\(count)", "/dev/zero"]))
        var received = 0
        var exit: ExecExit?
        while let event = try await session.nextEvent() {
            switch event {
            case .stdout(let bytes): received += bytes.count
            case .stderr(let bytes): Issue.record("stderr: \(String(decoding: bytes, as: UTF8.self))")
            case .exited(let end): exit = end
            }
        }
        #expect(received == count)
        #expect(exit?.status == .code(0))
    }

    @Test(arguments: ContractBackend.all)
    func `8 MiB through cat do not deadlock`(_ backend: ContractBackend) async throws {
        let input = (0..<8 << 20).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        let result = try await backend.sharedBox().run(ExecRequest(["cat"]), input: input)
        #expect(result.stdout == input)
    }

    @Test(arguments: ContractBackend.all)
    func `a program that ends before it has read its input is no error`(_ backend: ContractBackend) async throws {
        let result = try await backend.sharedBox().run(
            ExecRequest(["true"]),
            input: [UInt8](repeating: 7, count: 4 << 20)
        )
        #expect(result.exit.status == .code(0))
    }

    @Test(arguments: ContractBackend.all)
    func `a call to a box that was stopped says that it ended`(_ backend: ContractBackend) async throws {
        let box = try await backend.boot()
        await box.stop(grace: .seconds(2))
        let error = await #expect(throws: SandboxError.self) { try await box.run("echo", "late") }
        #expect(error?.code == .machineEnded)
        #expect(try await box.waitUntilEnded() == .stopped)
    }
}
