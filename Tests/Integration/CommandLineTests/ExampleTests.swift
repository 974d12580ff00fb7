import Foundation
import HTTPSupport
import LinuxSystem
import Spec
import TestSupport
import Testing

@testable import VoidBox
@testable import voidbox_examples

/// An example of the seeds: a builder and a specification that mean the same.
struct Example: Sendable, CustomTestStringConvertible {
    var name: String
    var file: String
    var specification: Specification

    var testDescription: String { name }

    static let all = [
        Example(name: "quick-demo", file: "specs/quick-demo.yaml", specification: QuickDemo.pipeline.specification),
        Example(name: "trading", file: "specs/trading.yaml", specification: TradingPipeline.pipeline.specification),
        Example(name: "diamond", file: "diamond.yaml", specification: Diamond.pipeline.specification),
        Example(name: "ollama", file: "ollama.yaml", specification: LocalModels.ollama.specification),
        Example(name: "lm-studio", file: "specs/lm-studio.yaml", specification: LocalModels.lmStudio.specification),
        Example(name: "remote-skills", file: "specs/remote-skills.yaml", specification: RemoteSkills.box.specification),
        Example(name: "plan-apply", file: "plan-apply.yaml", specification: PlanApply.pipeline.specification),
        Example(
            name: "interactive",
            file: "interactive.yaml",
            specification: Interactive.box.interactive.specification
        ),
        Example(
            name: "boot-diagnostics",
            file: "specs/boot-diagnostics.yaml",
            specification: BootDiagnostics.workflow.specification,
        ),
    ]

    static func named(_ name: String) throws -> Example { try #require(all.first { $0.name == name }) }
}

@Suite("Examples and their twins") struct ExampleTwinTests {
    /// Without places, with absolute paths, and with the stages that run.
    private func normalized(_ spec: Spec, relativeTo file: String) -> Spec {
        var spec = spec
        spec.positions = [:]
        func resolve(_ llm: inout LLMSpec?) {
            guard let script = llm?.script else { return }
            llm?.script = Spec.resolve(script, relativeTo: file)
        }
        func resolved(_ skills: [SkillSpec]) -> [SkillSpec] {
            skills.map { skill in
                guard case .file(let path) = skill else { return skill }
                return .file(Spec.resolve(path, relativeTo: file))
            }
        }
        resolve(&spec.llm)
        if case .pipeline(var pipeline) = spec.body {
            for index in pipeline.boxes.indices {
                resolve(&pipeline.boxes[index].llm)
                pipeline.boxes[index].skills = resolved(pipeline.boxes[index].skills)
            }
            pipeline.stages = pipeline.plannedStages
            spec.body = .pipeline(pipeline)
        }
        return spec
    }

    @Test(arguments: Example.all) func `an example in Swift means what its twin in YAML means`(_ example: Example)
        throws
    {
        let file = Repository.example(example.file)
        let written = try Spec.load(file: file)
        try written.checkCapabilities(file: file)
        let root = Repository.root.appending(path: "built.json").path
        let built = try Spec.parse(Array(example.specification.json.utf8), file: root)
        #expect(normalized(built, relativeTo: root) == normalized(written, relativeTo: file))
    }

    @Test func `every example of the program is there`() {
        #expect(Examples.all.map(\.name) == Example.all.map(\.name))
    }
}

/// From Swift as users run it, and from YAML as users run that.
@Suite("Examples in real boxes", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct ExampleTests {
    enum Form: String, CaseIterable { case swift, yaml }

    private func run(
        _ name: String,
        _ form: Form = .swift,
        environment: [String: String] = [:],
    ) async throws -> VoidBoxProcess.Result {
        switch form {
        case .swift:
            return try await start([name], environment: environment).end()
        case .yaml:
            let file = Repository.example(try Example.named(name).file)
            return try await VoidBoxProcess.start(["run", "--file", file], environment: environment).end()
        }
    }

    /// The program of the examples. Their paths are relative to the repository.
    private func start(
        _ arguments: [String],
        by program: [String] = [],
        environment: [String: String] = [:],
    ) async throws -> TestProcess {
        try await VoidBoxProcess.start(
            arguments,
            by: program + [try VoidBoxProcess.built("voidbox-examples")],
            environment: environment,
            directory: Repository.root.path,
        )
    }

    @Test(arguments: Form.allCases) func `the quick demo hands findings on`(_ form: Form) async throws {
        let result = try await run("quick-demo", form)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("claudio: \"Your input has three findings."), "\(result.output)")
    }

    @Test(arguments: Form.allCases) func `four traders have a skill each`(_ form: Form) async throws {
        let result = try await run("trading", form)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("skills [risk-management]"), "\(result.output)")
        #expect(result.errors.contains("[strategy] succeeded") || result.errors.contains("[vm:strategy] succeeded"))
    }

    @Test func `the diamond joins two boxes`() async throws {
        let result = try await run("diamond")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("claudio: \"Your input is a JSON array"), "\(result.output)")
    }

    /// With Claude Code, its twin runs in `FlowExampleTests`.
    @Test func `a plan is carried out in another box`() async throws {
        let result = try await run("plan-apply", environment: ["VOIDBOX_EXAMPLE_AGENT": "claudio"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("claudio: \"Carry out the plan in /workspace/input/plan.md"), "\(result.output)")
    }

    @Test(arguments: Form.allCases) func `a box tells how it started`(_ form: Form) async throws {
        let result = try await run("boot-diagnostics", form)
        #expect(result.status == 0, "\(result.errors)")
        let expected =
            switch form {
            case .swift: ["backend: ", "kernel: Linux 6.", "25 90", "written before", "the shell ended with 7"]
            case .yaml: ["kernel: Linux 6.", "user: sandbox"]
            }
        for text in expected { #expect(result.output.contains(text), "\(result.output)") }
    }

    @Test func `an agent's own user interface is shown on the terminal of a Swift program`() async throws {
        let dialogue = Repository.root.appending(path: "Tests/Support/Programs/terminal_dialogue.py").path
        let steps = """
            [{"wait": "bypass permissions on"}, {"type": "hello there"}, {"wait": "hello there"}, {"type": "\\r"},
             {"wait": "I am its user sandbox"}, {"type": "/exit\\r"}, {"end": true}]
            """
        let result = try await start(["interactive"], by: ["/usr/bin/env", "python3", dialogue, "300", steps]).end()
        #expect(result.status == 0, "\(result.output) \(result.errors)")
    }

    @Test func `an agent's user interface needs a terminal`() async throws {
        let result = try await run("interactive")
        #expect(result.status == 1 && result.errors.contains("needs a terminal"), "\(result.errors)")
    }

    @Test func `Ctrl-C leaves no box behind`() async throws {
        let command = try await start(["quick-demo"], environment: ["VOIDBOX_EXAMPLE_AGENT": "claude-code"])
        try await command.waitForError("[analyst] ready")
        #expect(command.boxes.count == 1)
        command.send(Signal.interrupt)
        _ = try await command.end()
        try await eventually("its box is gone") { command.boxes.isEmpty }
    }

    // MARK: Stand-ins for other hosts

    private static let primes = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47].map { "\($0)\n" }.joined()

    @Test(arguments: [("ollama", Form.swift), ("ollama", .yaml), ("lm-studio", .swift), ("lm-studio", .yaml)])
    func `Claude Code works with a model of this host`(_ name: String, _ form: Form) async throws {
        let endpoint = EndpointStandIn()
        let result = try await endpoint.run(answer: { .events(LocalModel.answer(to: $0.body)) }) { url in
            try await run(name, form, environment: ["VOIDBOX_LLM_BASE_URL": url])
        }
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains(Self.primes.dropLast()), "\(result.output)")
        let models = endpoint.seen.compactMap { LocalModel.request($0.body)?["model"] as? String }
        #expect(Set(models) == [name == "ollama" ? "qwen3-coder:7b" : "qwen/qwen3-coder-30b"])
    }

    @Test(arguments: Form.allCases) func `a skill of a repository is fetched and found`(_ form: Form) async throws {
        let cache = try SpecDirectory()
        let environment = ProcessInfo.processInfo.environment
        let usual = environment["VOIDBOX_CACHE_DIR"] ?? "\(environment["HOME"] ?? "")/.cache/voidbox"
        // The guest from the usual place, skills from nowhere.
        try FileManager.default.createSymbolicLink(
            atPath: cache.url.appending(path: "current").path,
            withDestinationPath: "\(usual)/current",
        )
        let result = try await EndpointStandIn().run(answer: { .json(200, CodeHost.answer(to: $0.target)) }) { url in
            try await run(
                "remote-skills",
                form,
                environment: ["VOIDBOX_SKILLS_SOURCE": url, "VOIDBOX_CACHE_DIR": cache.url.path],
            )
        }
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("skills [brainstorming]"), "\(result.output) \(result.errors)")
    }
}

/// A model that writes the file with the primes, and then says so: Anthropic's Messages API, as Ollama and LM Studio have it.
private enum LocalModel {
    static func request(_ body: [UInt8]) -> [String: Any]? {
        try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    }

    static func answer(to body: [UInt8]) -> [String] {
        let hasTools = (request(body)?["tools"] as? [Any])?.isEmpty == false
        let isAnswered = String(decoding: body, as: UTF8.self).contains(#""tool_result""#)
        guard hasTools, !isAnswered else {
            return message(
                block: #"{"type":"text","text":""}"#,
                delta: #"{"type":"text_delta","text":"The primes are in the file."}"#,
                stop: "end_turn",
            )
        }
        let input =
            #"{\"file_path\":\"/workspace/primes.txt\",\"content\":\"2\\n3\\n5\\n7\\n11\\n13\\n17\\n19\\n23\\n"#
            + #"29\\n31\\n37\\n41\\n43\\n47\\n\"}"#
        return message(
            block: #"{"type":"tool_use","id":"toolu_1","name":"Write","input":{}}"#,
            delta: #"{"type":"input_json_delta","partial_json":"\#(input)"}"#,
            stop: "tool_use",
        )
    }

    private static func message(block: String, delta: String, stop: String) -> [String] {
        [
            (
                "message_start",
                #""message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"#
                    + #""stop_reason":null,"usage":{"input_tokens":10,"output_tokens":1}}"#
            ),
            ("content_block_start", #""index":0,"content_block":\#(block)"#),
            ("content_block_delta", #""index":0,"delta":\#(delta)"#),
            ("content_block_stop", #""index":0"#),
            ("message_delta", #""delta":{"stop_reason":"\#(stop)","stop_sequence":null},"usage":{"output_tokens":5}"#),
            ("message_stop", nil),
        ].map { (name: String, members: String?) in
            "event: \(name)\ndata: {\"type\":\"\(name)\"\(members.map { ",\($0)" } ?? "")}"
        }
    }
}

/// A host of code by GitHub's API with the one skill that the example names.
private enum CodeHost {
    private static let commit = String(repeating: "1", count: 40)
    private static let skills = String(repeating: "2", count: 40)
    private static let skill = String(repeating: "3", count: 40)
    /// What git calls `document`.
    private static let blob = "95afe172ef0a49b580d74da7c86d6a70db188e88"
    private static let document = "---\nname: brainstorming\ndescription: d\n---\nThree ideas.\n"

    static func answer(to target: String) -> String {
        func tree(_ path: String, _ mode: String, _ type: String, _ hash: String) -> String {
            #"{"tree":[{"path":"\#(path)","mode":"\#(mode)","type":"\#(type)","sha":"\#(hash)"}],"truncated":false}"#
        }
        let base = "/repos/obra/superpowers/git"
        switch target {
        case "\(base)/ref/tags/v6.3.0": return #"{"object":{"sha":"\#(commit)","type":"commit"}}"#
        case "\(base)/trees/\(commit)": return tree("skills", "040000", "tree", skills)
        case "\(base)/trees/\(skills)": return tree("brainstorming", "040000", "tree", skill)
        case "\(base)/trees/\(skill)?recursive=1": return tree("SKILL.md", "100644", "blob", blob)
        case "\(base)/blobs/\(blob)": return document
        default: return "{}"
        }
    }
}
