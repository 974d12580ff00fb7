import Foundation
import TestSupport
import Testing

/// What is wrong before anything runs: one clear line, and a status that scripts can use.
@Suite("voidbox usage", .timeLimit(.minutes(10))) struct UsageTests {
    @Test func `a typo in a specification exits 2 with line, column and the intended key`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.write(
            "typo.yaml",
            """
            kind: agent
            name: typo
            agent:
              promt: hello
            """,
        )
        let result = try await VoidBoxProcess.run("run", "--file", file)
        #expect(result.status == 2)
        #expect(result.errors.contains("typo.yaml:4:3: unknown key \"promt\" in agent; did you mean \"prompt\"?"))
    }

    @Test func `a host without QEMU exits 3 and names the package`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("sandbox.yaml"),
            environment: ["PATH": "/nonexistent"],
        )
        #expect(result.status == 3)
        #expect(result.errors.contains("qemu-system-x86") || result.errors.contains("make guest"), "\(result.errors)")
        let doctor = try await VoidBoxProcess.run("doctor", environment: ["PATH": "/nonexistent"])
        #expect(doctor.status == 3)
        #expect(doctor.output.contains("apt-get install qemu-system-x86"))
    }

    @Test func `a missing kernel exits 3 and says how to get one`() async throws {
        let result = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("sandbox.yaml"),
            environment: ["VOIDBOX_KERNEL": "/nonexistent/vmlinux"],
        )
        #expect(result.status == 3)
        #expect(result.errors.contains("/nonexistent/vmlinux: the guest kernel is missing or not readable"))
        #expect(result.errors.contains("make guest"))
        #expect(result.errors.contains("VOIDBOX_KERNEL"))
        #expect(result.output.isEmpty, "there is nothing to report of a run that never began")
    }

    @Test(arguments: [
        (name: "empty", text: "", says: "the file is empty"),
        ("wrong kind", "kind: agnet\nname: x\nagent: {prompt: x}\n", "did you mean \"agent\"?"),
        ("two documents", "kind: sandbox\nname: a\n---\nkind: sandbox\n", "invalid YAML"),
        ("a list", "- kind: agent\n", "a specification must be a map"),
        (
            "unknown provider", "kind: agent\nname: x\nllm: {provider: cluade}\nagent: {prompt: x}\n",
            "did you mean \"claude\"?"
        ),
        (
            "not built yet", "kind: sandbox\nname: x\nsandbox: {image: 'alpine:3'}\n",
            "sandbox.image (an OCI image as the root) is not built yet"
        ),
    ])
    func `a specification that cannot run exits 2 and says why`(
        _ fault: (name: String, text: String, says: String)
    ) async throws {
        let directory = try SpecDirectory()
        let result = try await VoidBoxProcess.run("run", "--file", try directory.write("spec.yaml", fault.text))
        #expect(result.status == 2)
        #expect(result.errors.contains(fault.says), "\(result.errors)")
    }

    @Test func `a file of 50 MB is refused by its size`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.write("large.yaml", String(repeating: "# padding\n", count: 5_000_000))
        let result = try await VoidBoxProcess.run("validate", "--file", file)
        #expect(result.status == 2)
        #expect(result.errors.contains("the limit is 2 MiB"))
    }

    @Test func `aliases that multiply are refused at once`() async throws {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            bomb += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", "))]\n"
        }
        let directory = try SpecDirectory()
        let start = ContinuousClock.now
        let result = try await VoidBoxProcess.run("validate", "--file", try directory.write("bomb.yaml", bomb))
        #expect(ContinuousClock.now - start < .seconds(60), "expanded, it would take hours")
        #expect(result.status == 2)
        #expect(result.errors.contains("aliases"))
    }

    @Test func `a specification comes from standard input, too`() async throws {
        let text = "kind: sandbox\nname: x\nsandbox: {vcpus: 3}\n"
        let result = try await VoidBoxProcess.run("inspect", "--file", "-", input: text)
        #expect(result.status == 0, "\(result.errors)")
        #expect((try result.json["sandbox"] as? [String: Any])?["vcpus"] as? Int == 3)
        let wrong = try await VoidBoxProcess.run("validate", "--file", "-", input: "kind: sandbox\n")
        #expect(wrong.status == 2)
        #expect(wrong.errors.contains("-:1:1: a specification lacks the required key \"name\""), "\(wrong.errors)")
    }

    @Test func `a place in the box that cannot be mounted over exits 2`() async throws {
        for place in ["/etc", "/workspace/../etc", "relative", "/"] {
            let result = try await VoidBoxProcess.run("exec", "--mode", "mock", "--mount", "/tmp:\(place)", "true")
            #expect(result.status == 2, "\(place)")
            #expect(result.errors.contains("the guest path"), "\(result.errors)")
        }
    }

    @Test func `wrong usage exits 2`() async throws {
        #expect(try await VoidBoxProcess.run("run").status == 2)
        #expect(try await VoidBoxProcess.run("fly").status == 2)
        #expect(try await VoidBoxProcess.run("run", "--file", "/nonexistent.yaml").status == 2)
        #expect(try await VoidBoxProcess.run("--help").status == 0)
    }

    @Test func `commands that run nothing print for programs`() async throws {
        let quickstart = Repository.example("quickstart.yaml")
        let valid = try await VoidBoxProcess.run("validate", "--file", quickstart, "--output", "json").json
        #expect(valid["valid"] as? Bool == true)
        #expect(valid["kind"] as? String == "agent")
        let inspected = try await VoidBoxProcess.run("inspect", "--file", quickstart).json
        #expect((inspected["sandbox"] as? [String: Any])?["memory_mb"] as? Int == 2048)
        let skills = try await VoidBoxProcess.run("skills", "--file", quickstart)
        #expect(skills.output.contains("agent   claude-code"))
        #expect(try await VoidBoxProcess.run("version", "--output", "json").json["name"] as? String == "voidbox")
    }

    @Test func `mock runs say that they are not isolated`() async throws {
        let result = try await VoidBoxProcess.run("exec", "--mode", "mock", "echo", "hello")
        #expect(result.status == 0)
        #expect(result.output == "hello\n")
        #expect(result.errors.contains("nothing is isolated"))
        let workflow = try await VoidBoxProcess.run(
            "run",
            "--file",
            Repository.example("workflow.yaml"),
            "--mode",
            "mock",
            "--output",
            "json"
        )
        #expect(try workflow.json["isolated"] as? Bool == false)
        #expect(try workflow.json["backend"] as? String == "mock")
    }
}

@Suite("voidbox exec", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct ExecTests {
    @Test func `output, input and status are the program's`() async throws {
        let result = try await VoidBoxProcess.run(
            "exec",
            "--interactive",
            "sh",
            "-c",
            "cat; echo problem >&2; exit 5",
            input: "through the box"
        )
        #expect(result.status == 5)
        #expect(result.output == "through the box")
        #expect(result.errors.contains("problem"))
    }

    @Test func `a program that dies of a signal gives 128 and the signal`() async throws {
        #expect(try await VoidBoxProcess.run("exec", "sh", "-c", "kill -15 $$").status == 128 + 15)
    }

    @Test func `a corrupt initramfs is one clear error`() async throws {
        let directory = try SpecDirectory()
        let file = try directory.write("broken.cpio", "070701" + String(repeating: "broken", count: 1000))
        let result = try await VoidBoxProcess.run("exec", "true", environment: ["VOIDBOX_INITRAMFS": file])
        #expect(result.status == 125)
        #expect(result.errors.contains("the guest's console ends"), "\(result.errors)")
        #expect(result.errors.components(separatedBy: "hint:").count == 2)
    }

    @Test(arguments: ["VOIDBOX_KERNEL", "VOIDBOX_INITRAMFS"], ["/", "/dev/zero", "/etc/passwd", "/dev/null"])
    func `a boot file that is something else exits 3 before anything starts`(
        _ variable: String,
        _ path: String
    ) async throws {
        let result = try await VoidBoxProcess.run("exec", "true", environment: [variable: path])
        #expect(result.status == 3)
        #expect(result.errors.hasPrefix("error: \(path): not usable as the guest"), "\(result.errors)")
        #expect(result.errors.contains(variable))
    }

    @Test(arguments: ["/bin/true", "/bin/false", "/"]) func `a QEMU that is none exits 3`(_ path: String) async throws {
        let result = try await VoidBoxProcess.run("exec", "true", environment: ["VOIDBOX_QEMU": path])
        #expect(result.status == 3)
        #expect(result.errors.hasPrefix("error: \(path): "))
        #expect(result.errors.contains("VOIDBOX_QEMU") && !result.errors.contains("initramfs"), "\(result.errors)")
    }

    @Test func `more memory than the host has exits 3`() async throws {
        let result = try await VoidBoxProcess.run("exec", "--memory-mb", "1048576", "true")
        #expect(result.status == 3)
        #expect(result.errors.contains("of memory, and this host has"))
    }

    @Test func `statuses of voidbox are told from the program's`() async throws {
        #expect(try await VoidBoxProcess.run("exec", "no-such-program").status == 127)
        #expect(try await VoidBoxProcess.run("exec", "/etc/passwd").status == 126)
        let late = try await VoidBoxProcess.run("exec", "--timeout", "1", "sleep", "100")
        #expect(late.status == 124)
        #expect(late.errors.contains("did not finish within 1 s"))
    }

    @Test func `a child that ran out of memory is a warning even if its program goes on`() async throws {
        let grow = "python3 -c 'x = []\nwhile True: x.append(bytearray(10**7))'; exit 0"
        let result = try await VoidBoxProcess.run("exec", "--memory-mb", "512", "sh", "-c", grow)
        #expect(result.status == 0)
        #expect(result.errors.contains("memory ran out"))
    }

    @Test func `a program whose reader has gone is stopped quietly`() async throws {
        let result = try await VoidBoxProcess.run(script: "{ \"$VOIDBOX\" exec yes; echo $? >&2; } | head -1")
        #expect(result.output == "y\n")
        #expect(result.errors == "141\n")
    }

    @Test func `a closed stdin is an empty one`() async throws {
        let result = try await VoidBoxProcess.run(script: "\"$VOIDBOX\" exec -i cat <&-")
        #expect(result.status == 0 && result.output.isEmpty)
    }
}
