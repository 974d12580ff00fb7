import Foundation
import Testing

@testable import Spec

@Suite("Specification") struct SpecTests {
    private func issues(_ text: String) -> [String] {
        do throws(SpecError) {
            _ = try Spec.parse(Array(text.utf8), file: "s.yaml")
            return []
        } catch {
            return error.description.split(separator: "\n").map(String.init)
        }
    }

    @Test func `a full agent is read with its values and defaults`() throws {
        let spec = try Spec.parse(
            Array(
                """
                api_version: v1
                kind: agent
                name: a
                sandbox:
                  memory_mb: 4096
                  network: true
                  env: {PORT: 8080, EMPTY: ""}
                  mounts: [{host: data, guest: /data, mode: rw}]
                  policy: {allowed_programs: [bash, git], max_processes: 64}
                llm: {provider: ollama, model: m}
                agent:
                  prompt: go
                  skills: ["agent:claude-code", "file:s.md", {name: n, content: c}, {command: x, args: [y]}]
                  timeout_secs: 60
                """.utf8
            ),
            file: "s.yaml"
        )
        #expect(spec.kind == .agent)
        #expect(spec.sandbox.memoryMB == 4096 && spec.sandbox.vcpus == 1 && spec.sandbox.network)
        #expect(spec.sandbox.env == ["PORT": "8080", "EMPTY": ""])
        #expect(spec.sandbox.mounts == [MountSpec(host: "data", guest: "/data", mode: .rw)])
        #expect(spec.sandbox.policy.allowedPrograms == ["bash", "git"])
        #expect(spec.llm?.provider == .ollama)
        guard case .agent(let agent) = spec.body else {
            Issue.record("not an agent")
            return
        }
        #expect(agent.skills.count == 4)
        #expect(agent.timeoutSeconds == 60 && agent.mode == .task && agent.outputFile == nil)
        #expect(agent.skills.agent(for: spec.llm?.provider) == .claudeCode)
    }

    @Test func `JSON is read with positions like YAML`() throws {
        let good = #"{"kind": "sandbox", "name": "x", "sandbox": {"vcpus": 2}}"#
        #expect(try Spec.parse(Array(good.utf8), file: "s.json").sandbox.vcpus == 2)
        let bad = "{\n  \"kind\": \"sandbox\",\n  \"nmae\": \"x\"\n}"
        #expect(issues(bad).contains("s.yaml:3:3: unknown key \"nmae\"; did you mean \"name\"?"))
    }

    @Test func `all that is wrong is told at once, in the order of the file`() {
        let found = issues(
            "kind: agent\nname: x\nsandbox: {memory: 1, vcpus: 99}\nagent: {prompt: ' ', timeout_secs: soon}\n"
        )
        #expect(
            found == [
                "s.yaml:3:11: unknown key \"memory\" in sandbox; did you mean \"memory_mb\"?",
                "s.yaml:3:29: sandbox.vcpus is 99; it must be 1 to 16",
                "s.yaml:4:9: agent.prompt cannot be empty",
                "s.yaml:4:36: agent.timeout_secs must be a whole number, not the text \"soon\"",
            ]
        )
    }

    @Test(arguments: [
        ("kind: agent\nname: x\n", "kind: agent requires an agent block"),
        ("kind: sandbox\nname: x\nagent: {prompt: y}\n", "kind: sandbox does not accept an agent block"),
        ("kind: sandbox\nname: x\napi_version: v2\n", "unsupported api_version 'v2', expected 'v1'"),
        ("name: x\n", "lacks the required key \"kind\""),
        ("kind: sandbox\n", "lacks the required key \"name\""),
        ("kind: sandbox\nname: 5\n", "name must be text (put it in quotes), not the number 5"),
        ("kind: sandbox\nname: x\nname: y\n", "duplicate key \"name\""),
        ("kind: sandbox\nname: x\nsandbox: {mode: qmeu}\n", "unknown word \"qmeu\"; did you mean \"qemu\"?"),
        ("kind: sandbox\nname: x\nsandbox: [1]\n", "sandbox must be a map, not a list"),
        ("kind: sandbox\nname: x\nsandbox: {network: 'yes'}\n", "sandbox.network must be true or false"),
        ("kind: sandbox\nname: x\nsandbox: {mounts: [{host: a, guest: b}]}\n", "must be an absolute path in the guest"),
        ("kind: sandbox\nname: x\nsandbox: {mounts: [{host: a, guest: /b/../c}]}\n", "must not contain \"..\""),
        (
            "kind: sandbox\nname: x\nsandbox: {mounts: [{host: a, guest: /b}, {host: c, guest: /b}]}\n",
            "duplicate guest path '/b'"
        ),
        ("kind: sandbox\nname: x\nsandbox: {env: {'A=B': c}}\n", "cannot be the name of a variable"),
        (
            "kind: agent\nname: x\nagent: {prompt: p, skills: [claude]}\n",
            "invalid skill 'claude', expected '<type>:<value>'"
        ),
        ("kind: agent\nname: x\nagent: {prompt: p, skills: ['flie:x']}\n", "unsupported skill type 'flie'"),
        (
            "kind: agent\nname: x\nagent: {prompt: p, mode: service, timeout_secs: 5, output_file: /o}\n",
            "agent: mode: service and timeout_secs are mutually exclusive"
        ),
        ("kind: agent\nname: x\nagent: {prompt: p, mode: service}\n", "agent: mode: service requires output_file"),
        (
            "kind: agent\nname: x\nagent: {prompt: p, mode: service, output_file: /o, output_schema: {type: object}}\n",
            "agent: mode: service and output_schema are mutually exclusive"
        ),
        (
            "kind: agent\nname: x\nagent: {prompt: p, restart: {policy: always}}\n",
            "agent.restart is only for mode: service"
        ),
        (
            "kind: agent\nname: x\nagent: {prompt: p, mode: service, output_file: /o, restart: {policy: onfailure}}\n",
            "agent.restart.policy: unknown word \"onfailure\"; did you mean \"on-failure\"?"
        ),
        ("kind: agent\nname: x\nllm: {provider: custom}\nagent: {prompt: p}\n", "custom requires base_url"),
        ("kind: agent\nname: x\nllm: {provider: scripted}\nagent: {prompt: p}\n", "scripted requires script"),
        ("kind: pipeline\nname: x\npipeline: {boxes: []}\n", "pipeline.boxes cannot be empty"),
        (
            "kind: pipeline\nname: x\npipeline: {boxes: [{name: a, prompt: p}], stages: [{type: fan_out, boxes: [a]}]}\n",
            "pipeline first stage cannot be fan_out"
        ),
        (
            "kind: pipeline\nname: x\npipeline: {boxes: [{name: a, prompt: p}], stages: [{type: box, name: b}]}\n",
            "unknown box 'b'"
        ),
        (
            "kind: pipeline\nname: x\npipeline: {boxes: [{name: a, prompt: p, inputs: [{from: q}]}]}\n",
            "box 'a' input 'q' references unknown output (available: [])"
        ),
        ("kind: workflow\nname: x\nworkflow: {steps: []}\n", "workflow.steps cannot be empty"),
        (
            "kind: sandbox\nname: x\nsandbox: {mounts: [{host: a, guest: /b//c/}, {host: c, guest: /b/./c}]}\n",
            "duplicate guest path '/b/c'"
        ),
        ("kind: sandbox\nname: x\nsandbox: {mounts: [{host: a, guest: /etc/x}]}\n", "which belongs to the box"),
        ("kind: sandbox\nname: \"a\\0b\"\n", "name must not contain a NUL character"),
        ("kind: sandbox\nname: x\nsandbox: {env: {A: \"b\\0\"}}\n", "sandbox.env.A must not contain a NUL character"),
        ("kind: sandbox\nname: x\nllm: {provider: claude}\n", "kind: sandbox asks no model; remove llm"),
        (
            "kind: workflow\nname: x\nllm: {provider: claude}\nworkflow: {steps: [{name: a, run: {program: p}}]}\n",
            "a workflow without workflow.agent asks no model"
        ),
        (
            "kind: agent\nname: x\nllm: {provider: custom, base_url: 'file:///x'}\nagent: {prompt: p}\n",
            "s.yaml:3:25: llm.base_url \"file:///x\" has no scheme http or https"
        ),
        (
            "kind: agent\nname: x\nllm: {provider: scripted, script: s, base_url: 'http://h'}\nagent: {prompt: p}\n",
            "llm.base_url means nothing to provider: scripted"
        ),
        ("kind: agent\nname: x\nllm: {provider: claude, model: ''}\nagent: {prompt: p}\n", "llm.model cannot be empty"),
        (
            "kind: agent\nname: x\nagent: {prompt: p, skills: [{name: ../x, content: c}]}\n",
            "the skill's name \"../x\" must be 1 to 64 of the characters a-z, 0-9 and -"
        ),
        (
            "kind: agent\nname: x\nagent: {prompt: p, skills: [{name: '', content: c}]}\n",
            "the skill's name \"\" must be"
        ),
        (
            "kind: agent\nname: x\nagent: {prompt: p, skills: [{name: a, content: c}, 'file:d/A.md']}\n",
            "there are two skills with the name \"a\""
        ),
        ("kind: agent\nname: x\nagent: {prompt: p, skills: ['file:my skill.md']}\n", "the skill's name \"my skill\""),
        (
            "kind: workflow\nname: x\nworkflow: {steps: [{name: a, run: {program: p}, depends_on: [b]}]}\n",
            "step 'a' depends on 'b', which is not a step"
        ),
        (
            "kind: workflow\nname: x\nworkflow: {steps: [{name: a, run: {program: p}}, {name: a, run: {program: p}}]}\n",
            "duplicate step 'a'"
        ),
    ])
    func `what cannot be meant is an error`(_ text: String, _ message: String) {
        let found = issues(text)
        #expect(found.contains { $0.contains(message) }, "\(found)")
        #expect(found.allSatisfy { $0.hasPrefix("s.yaml:") })
    }

    @Test(arguments: [
        ("kind: sandbox\nname: 42\n", "s.yaml:2:7: name must be text (put it in quotes), not the number 42"),
        ("kind: agent\nname: x\nagent: {promt: p}\n", "unknown key \"promt\" in agent; did you mean \"prompt\"?"),
        ("kind: agent\nname: x\nagnet: {prompt: p}\n", "unknown key \"agnet\"; did you mean \"agent\"?"),
        ("knd: sandbox\nname: x\n", "unknown key \"knd\"; did you mean \"kind\"?"),
        ("a: " + String(repeating: "[", count: 5000), "invalid YAML: it is nested too deeply"),
    ])
    func `one slip is one error`(_ text: String, _ message: String) {
        let found = issues(text)
        #expect(found.count == 1 && found[0].hasSuffix(message), "\(found)")
    }

    @Test func `many errors are told up to a number that can be read`() {
        let keys = (0..<5000).map { "unknown\($0): 1\n" }.joined()
        let found = issues("kind: sandbox\nname: x\n\(keys)")
        #expect(found.count == 21)
        #expect(found.last == "s.yaml: and 4980 more")
    }

    @Test func `of a document with too many values, only that is told`() {
        let mounts = Array(repeating: "{host: a, guest: /b}", count: 60_000).joined(separator: ", ")
        let found = issues("sandbox: {mounts: [\(mounts)]}\nkind: sandbox\nname: x\n")
        #expect(found.count == 1 && found[0].hasSuffix("more than 100000 values"), "\(found.prefix(3))")
    }

    @Test func `a byte order mark is no part of the text`() throws {
        #expect(
            try Spec.parse([0xEF, 0xBB, 0xBF] + Array("kind: sandbox\nname: x\n".utf8), file: "s.yaml").name == "x"
        )
    }

    @Test func `a skill's file is called as it is named, and SKILL.md as its directory`() {
        let names = ["a.md", "dir/B-2.md", "skills/review/SKILL.md", "plain"].map { SkillSpec.file($0).name }
        #expect(names == ["a", "b-2", "review", "plain"])
    }

    @Test func `files that cannot be read are told with the reason`() throws {
        let missing = #expect(throws: SpecError.self) { try Spec.load(file: "/nonexistent/s.yaml") }
        #expect(missing?.description.hasSuffix("failed to read /nonexistent/s.yaml: No such file or directory") == true)
        let directory = #expect(throws: SpecError.self) { try Spec.load(file: "/tmp") }
        #expect(directory?.description.hasSuffix("it is not a file") == true)
        let place = FileManager.default.temporaryDirectory.appending(path: "spec-\(UUID())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let file = place.appending(path: "s.yaml").path
        let text = "kind: agent\nname: x\nagent:\n  prompt: p\n  skills:\n    - file:here.md\n    - file:gone.md\n"
        try Data(text.utf8).write(to: URL(filePath: file))
        try Data("x".utf8).write(to: place.appending(path: "here.md"))
        let skill = #expect(throws: SpecError.self) { try Spec.load(file: file) }
        #expect(
            skill?.description.hasPrefix("\(file):7:7: skill file:gone.md: ") == true,
            "\(skill?.description ?? "")"
        )
        #expect(skill?.issues.count == 1)
    }

    @Test func `a circle of steps is told with its path`() {
        let found = issues(
            """
            kind: workflow
            name: x
            workflow:
              steps:
                - {name: a, run: {program: p}, depends_on: [c]}
                - {name: b, run: {program: p}, depends_on: [a]}
                - {name: c, run: {program: p, stdin_from: b}}
            """
        )
        #expect(found == ["s.yaml:5:36: the steps depend on each other in a circle: a -> c -> b -> a"])
    }

    @Test func `a key whose capability is not built is refused when it would run`() throws {
        let spec = try Spec.parse(Array("kind: sandbox\nname: x\nsandbox: {snapshot: abc}\n".utf8), file: "s.yaml")
        let error = #expect(throws: SpecError.self) { try spec.checkCapabilities(file: "s.yaml") }
        #expect(error?.description == "s.yaml:3:11: sandbox.snapshot is not built yet")
    }

    @Test func `every example is valid`() throws {
        let examples = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../examples")
        let files = try FileManager.default.contentsOfDirectory(atPath: examples.path).filter { $0.hasSuffix(".yaml") }
        #expect(files.count >= 6)
        for file in files { _ = try Spec.load(file: examples.appending(path: file).path) }
    }

    @Test func `every key is in the documentation`() throws {
        let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../docs/spec.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../Sources/Orchestration/Spec/Spec+Reading.swift")
        let code = try String(contentsOf: source, encoding: .utf8)
        let keys = Set(
            code.matches(
                of: #/\.(?:word|string|requiredString|integer|boolean|strings|map|maps|environment)\("([a-z_]+)"/#
            ).map { String($0.1) }
        )
        #expect(keys.count > 40)
        for key in keys.sorted() { #expect(text.contains("`\(key)`"), "docs/spec.md lacks \(key)") }
    }

    @Test func `any bytes are an error or a specification, never a crash`() {
        var generator = SystemRandomNumberGenerator()
        let seeds = [
            "kind: agent\nname: x\nagent: {prompt: p, skills: ['agent:claude-code', {name: a, content: b}]}\n",
            "kind: workflow\nname: x\nworkflow: {steps: [{name: a, run: {program: p}}]}\n",
            "a: &a [1]\nb: *a\n", "{{{{[[[[", "\u{FEFF}kind: sandbox", "? [a, b]\n: c\n", "- - - - - -", "'", "\"\\x",
            "!!binary x",
        ]
        for round in 0..<3000 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0..<Int.random(in: 0...6, using: &generator) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? Spec.parse(bytes, file: "fuzz.yaml")
        }
        _ = try? Spec.parse(Array(String(repeating: "[", count: 100_000).utf8), file: "deep.yaml")
    }

    @Test func `variables of the host win over the file`() throws {
        var spec = Spec(name: "x")
        spec.body = .agent(AgentSpec(prompt: "p"))
        let changed = try spec.applying(environment: ["VOIDBOX_LLM_PROVIDER": "ollama", "VOIDBOX_LLM_MODEL": "m"])
        #expect(changed.llm == LLMSpec(provider: .ollama, model: "m"))
        #expect(throws: SpecError.self) { try spec.applying(environment: ["VOIDBOX_LLM_PROVIDER": "olama"]) }
        let (variables, missing) = SandboxSpec(env: ["A": "", "B": "b", "C": ""]).resolvedEnvironment(host: [
            "A": "host"
        ])
        #expect(variables == ["A": "host", "B": "b"])
        #expect(missing == ["C"])
    }

    @Test func `a provider of the host starts from nothing that the file says of another`() throws {
        var spec = Spec(name: "x")
        spec.body = .agent(AgentSpec(prompt: "p"))
        spec.llm = LLMSpec(provider: .custom, model: "big", baseURL: "https://h", apiKeyEnv: "KEY")
        #expect(try spec.applying(environment: ["VOIDBOX_LLM_PROVIDER": "ollama"]).llm == LLMSpec(provider: .ollama))
        #expect(try spec.applying(environment: ["VOIDBOX_LLM_PROVIDER": "custom"]).llm == spec.llm)
        #expect(try spec.applying(environment: ["VOIDBOX_LLM_MODEL": "m"]).llm?.baseURL == "https://h")
        let scripted = ["VOIDBOX_LLM_PROVIDER": "scripted", "VOIDBOX_LLM_SCRIPT": "/t.yaml"]
        #expect(try spec.applying(environment: scripted).llm?.script == "/t.yaml")
        var flow = Spec(name: "x")
        flow.body = .workflow(WorkflowSpec())
        #expect(try flow.applying(environment: scripted) == flow, "it asks no model")
        var workflow = WorkflowSpec()
        workflow.agent = .claudeCode
        flow.body = .workflow(workflow)
        #expect(try flow.applying(environment: scripted).llm?.script == "/t.yaml")
    }

    @Test(arguments: [
        (
            ["VOIDBOX_LLM_PROVIDER": "olama"],
            "VOIDBOX_LLM_PROVIDER: unknown provider \"olama\"; did you mean \"ollama\"?"
        ),
        (["VOIDBOX_LLM_PROVIDER": "custom"], "VOIDBOX_LLM_PROVIDER: custom needs an address; set VOIDBOX_LLM_BASE_URL"),
        (
            ["VOIDBOX_LLM_PROVIDER": "scripted"],
            "VOIDBOX_LLM_PROVIDER: scripted needs a file with its turns; set VOIDBOX_LLM_SCRIPT"
        ),
        (
            ["VOIDBOX_LLM_SCRIPT": "turns.yaml"],
            "VOIDBOX_LLM_SCRIPT: is for the provider scripted; set VOIDBOX_LLM_PROVIDER=scripted"
        ),
        (["VOIDBOX_LLM_BASE_URL": "file:///x"], "VOIDBOX_LLM_BASE_URL: \"file:///x\" has no scheme http or https"),
        (["VOIDBOX_LLM_API_KEY_ENV": "NONE"], "VOIDBOX_LLM_API_KEY_ENV: names the variable NONE, which is not set"),
    ])
    func `what is wrong with a variable of the host names it`(_ environment: [String: String], _ message: String) {
        var spec = Spec(name: "x")
        spec.body = .agent(AgentSpec(prompt: "p"))
        let error = #expect(throws: SpecError.self) { try spec.applying(environment: environment) }
        #expect(error?.description == message)
        #expect(throws: Never.self) { try Spec(name: "x").applying(environment: environment) }
    }

    @Test func `relative paths are relative to the specification`() {
        #expect(Spec.resolve("turns.yaml", relativeTo: "/specs/a.yaml") == "/specs/turns.yaml")
        #expect(Spec.resolve("/abs", relativeTo: "/specs/a.yaml") == "/abs")
    }
}
