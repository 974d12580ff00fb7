import Testing

@testable import Spec

/// What is wrong with pipelines and workflows, and where.
@Suite("Specifications of pipelines and workflows") struct FlowSpecTests {
    private func issues(_ text: String) -> [String] {
        do throws(SpecError) {
            _ = try Spec.parse(Array(text.utf8), file: "s.yaml")
            return []
        } catch {
            return error.description.split(separator: "\n").map(String.init)
        }
    }

    private func workflow(_ steps: String) -> [String] {
        issues("kind: workflow\nname: x\nworkflow:\n  steps:\n\(steps)")
    }

    @Test func `a circle is told where it begins`() {
        let found = workflow(
            """
                - {name: start, run: {program: p}}
                - {name: a, run: {program: p}, depends_on: [start, c]}
                - name: b
                  run: {program: p, stdin_from: a}
                - {name: c, run: {program: p}, depends_on: [b]}
            """
        )
        #expect(found == ["s.yaml:6:36: the steps depend on each other in a circle: a -> c -> b -> a"])
    }

    @Test func `unknown and repeated names are told where they stand`() {
        let found = workflow(
            """
                - {name: build, run: {program: p}}
                - {name: test, run: {program: p}, depends_on: [biuld]}
                - {name: build, run: {program: p}}
                - {name: ship, run: {program: p, stdin_from: tset}}
            """
        )
        #expect(
            found == [
                "s.yaml:6:39: step 'test' depends on 'biuld', which is not a step; did you mean \"build\"?",
                "s.yaml:7:8: duplicate step 'build'",
                "s.yaml:8:38: step 'ship' depends on 'tset', which is not a step; did you mean \"test\"?",
            ]
        )
    }

    @Test(arguments: [
        (
            "- {name: s, run: {program: p}, mode: service, timeout_secs: 5}",
            "step 's': mode: service and timeout_secs are mutually exclusive"
        ),
        (
            "- {name: s, run: {program: p}, mode: service, retry: {}}",
            "step 's': mode: service and retry are mutually exclusive"
        ),
        (
            "- {name: s, run: {program: p}, ready: {port: 80}}",
            "workflow.steps[0].ready is only for mode: service"
        ),
        (
            "- {name: s, run: {program: p}, restart: {}}",
            "workflow.steps[0].restart is only for mode: service"
        ),
        (
            "- {name: s, run: {program: p}, mode: service, ready: {port: 80, file: /x}}",
            "workflow.steps[0].ready needs exactly one of log_contains, file and port"
        ),
        (
            "- {name: s, run: {program: p}, mode: service, ready: {port: 0}}",
            "workflow.steps[0].ready.port is 0; it must be 1 to 65535"
        ),
        (
            "- {name: s, run: {program: p}, mode: service}\n    - {name: t, run: {program: p, stdin_from: s}}",
            "step 't' reads from the service 's', whose output has no end"
        ),
        (
            "- {name: s, run: {program: p}, retry: {backoff: 0.5}}",
            "workflow.steps[0].retry.backoff is 0.5; it must be 1.0 to 100.0"
        ),
        (
            "- {name: s, run: {program: p}, retry: {max_atempts: 2}}",
            "unknown key \"max_atempts\" in workflow.steps[0].retry; did you mean \"max_attempts\"?"
        ),
    ])
    func `one slip in a step is one error`(_ step: String, _ message: String) {
        let found = workflow("    \(step)\n")
        #expect(found.count == 1 && found[0].hasSuffix(message), "\(found)")
    }

    @Test func `what a service waits for and how often a step is tried are read`() throws {
        let text = """
            kind: workflow
            name: x
            workflow:
              max_parallel: 3
              steps:
                - {name: s, run: {program: p}, mode: service, ready: {log_contains: up, timeout_secs: 5}}
                - {name: t, run: {program: p}, depends_on: [s, s], retry: {max_attempts: 4, backoff: 1.5}}
                - {name: u, run: {program: p}, retry: {}}
            """
        guard case .workflow(let flow) = try Spec.parse(Array(text.utf8), file: "s.yaml").body else { return }
        #expect(flow.maxParallel == 3)
        #expect(flow.steps[0].service?.readiness == .log("up") && flow.steps[0].service?.readyTimeoutSeconds == 5)
        #expect(flow.steps[1].dependencies == ["s"])
        #expect(flow.steps[1].retry.maxAttempts == 4 && flow.steps[1].retry.backoff == 1.5)
        #expect(flow.steps[2].retry.maxAttempts == 3, "that is what asking for retries without a number means")
    }

    @Test func `when a service is started again is read`() throws {
        let agent = """
            kind: agent
            name: x
            agent:
              prompt: p
              mode: service
              output_file: /o
              restart: {max_restarts: 3, initial_delay_ms: 5, backoff: 3, max_delay_ms: 60}
            """
        guard case .agent(let service) = try Spec.parse(Array(agent.utf8), file: "s.yaml").body else { return }
        #expect(service.restart.policy == .onFailure && service.restart.maxRestarts == 3)
        #expect(service.restart.delays.delay(after: 9) == .milliseconds(60))
        let text = """
            kind: workflow
            name: x
            llm: {provider: claude}
            workflow:
              agent: claude-code
              steps:
                - {name: s, run: {program: p}, mode: service, restart: {policy: always}}
                - {name: t, run: {program: p}, mode: service}
            """
        guard case .workflow(let flow) = try Spec.parse(Array(text.utf8), file: "s.yaml").body else { return }
        #expect(flow.agent == .claudeCode)
        #expect(flow.steps.map(\.service?.restart.policy) == [.always, .never])
    }

    private func pipeline(_ boxes: String, stages: String? = nil) -> [String] {
        let list = stages.map { "  stages:\n\($0)\n" } ?? ""
        return issues("kind: pipeline\nname: x\npipeline:\n  boxes:\n\(boxes)\n\(list)")
    }

    @Test func `a stage's mistakes are told where they stand`() {
        let boxes = "    - {name: a, prompt: p}\n    - {name: b, prompt: p}"
        #expect(
            pipeline(boxes, stages: "    - {type: box, name: a}\n    - {type: fan_out, boxes: [b, c, a]}") == [
                "s.yaml:9:23: unknown box 'c'; did you mean \"a\"?",
                "s.yaml:9:23: unknown box 'a' (it is used twice)",
            ]
        )
        #expect(
            pipeline(boxes, stages: "    - {type: box, name: a, on_failure: ignore}")
                == [
                    "s.yaml:8:40: pipeline.stages[0].on_failure: unknown word \"ignore\"; expected one of: stop, continue"
                ]
        )
        #expect(pipeline("    - {name: a, prompt: p}\n    - {name: a, prompt: p}") == ["s.yaml:6:8: duplicate box 'a'"])
    }

    @Test(arguments: [
        (
            "- {name: a, prompt: p, inputs: [{from: x}, {from: y}]}",
            "duplicate guest path '/workspace/input'; give each input and output a `guest` of its own"
        ),
        (
            "- {name: a, prompt: p, outputs: [{name: x, guest: /etc}]}",
            "pipeline.boxes[0].outputs[0].guest cannot be /etc, which belongs to the box; use a directory such as /workspace/data"
        ),
        ("- {name: ' ', prompt: p}", "pipeline.boxes[0].name cannot be empty"),
        (
            "- {name: a, prompt: p, outputs: [{name: x}]}\n    - {name: b, prompt: p, outputs: [{name: x}]}",
            "duplicate output 'x'"
        ),
        (
            "- {name: a, prompt: p, llm: {provider: codx}}",
            "pipeline.boxes[0].llm.provider: unknown word \"codx\"; did you mean \"codex\"?"
        ),
    ])
    func `a box's mistakes are told`(_ boxes: String, _ message: String) {
        let found = pipeline("    \(boxes)")
        #expect(found.contains { $0.hasSuffix(message) }, "\(found)")
    }

    @Test func `what the host says of models holds for every box that has one of its own`() throws {
        let text = """
            kind: pipeline
            name: x
            llm: {provider: ollama}
            pipeline:
              boxes:
                - {name: a, prompt: p}
                - {name: b, prompt: p, llm: {provider: claude, model: m}}
            """
        let spec = try Spec.parse(Array(text.utf8), file: "s.yaml")
            .applying(environment: ["VOIDBOX_LLM_PROVIDER": "lm-studio"])
        guard case .pipeline(let pipeline) = spec.body else { return }
        #expect(spec.llm?.provider == .lmStudio)
        #expect(pipeline.boxes.map(\.llm?.provider) == [nil, .lmStudio])
        #expect(pipeline.boxes[1].llm?.model == nil, "the file's model is not of this provider")
    }
}
