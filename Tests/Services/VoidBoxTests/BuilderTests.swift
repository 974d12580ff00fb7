import Spec
import Testing

@testable import VoidBox

/// A builder and its twin in YAML mean the same.
@Suite("Builders") struct BuilderTests {
    /// - Parameter wordFor: What stands for the builder's label in the twin's messages.
    private func expectTwin(_ specification: Specification, _ yaml: String) throws {
        let built = try specification.spec(environment: [:])
        var written = try Spec.parse(Array(yaml.utf8), file: "twin.yaml")
        written.positions = [:]
        #expect(built.positions == [:])
        #expect(built == written)
    }

    @Test func `an agent with everything`() throws {
        let box = VoidBox("researcher")
            .mode(.qemu).memory(.gibibytes(2)).vcpus(2).network()
            .environment("TOKEN", "").environment(["PORT": "8080"])
            .mount(".", at: "/workspace/project").mount("out", at: "/workspace/out", .readWrite)
            .policy(Policy(allowedPrograms: ["sh"], maxOpenFiles: 64, maxMemory: .mebibytes(512)))
            .llm(.ollama("qwen3-coder:7b", url: "http://127.0.0.1:9"))
            .telemetry(Telemetry(endpoint: "http://127.0.0.1:4318", serviceName: "s"))
            .skill(.agent(.claudio))
            .skill(.remote("owner/repo/tidy@v1"))
            .skill(.cli("jq"))
            .skill(.inline("house-style", "Short sentences."))
            .skill(.mcp("notes-server", "--directory", "/workspace/notes", name: "notes", environment: ["A": ""]))
            .skill(.mcp("tickets", url: "https://t.example/mcp", headers: ["X": "${Y}"], on: .host))
            .prompt("true")
            .timeout(.milliseconds(299_001))
            .outputFile("/workspace/report.json")
            .outputSchema(try .json(#"{"type": "object", "required": ["a"]}"#), retries: 0)
        try expectTwin(
            box.specification,
            """
            kind: agent
            name: researcher
            sandbox:
              mode: qemu
              memory_mb: 2048
              vcpus: 2
              network: true
              env: {TOKEN: "", PORT: "8080"}
              mounts: [{host: ., guest: /workspace/project}, {host: out, guest: /workspace/out, mode: rw}]
              policy: {allowed_programs: [sh], max_open_files: 64, max_memory_mb: 512}
            llm: {provider: ollama, model: "qwen3-coder:7b", base_url: "http://127.0.0.1:9"}
            observe: {otlp_endpoint: "http://127.0.0.1:4318", service_name: s}
            agent:
              prompt: "true"
              skills:
                - agent:claudio
                - remote:owner/repo/tidy@v1
                - cli:jq
                - {name: house-style, content: Short sentences.}
                - {name: notes, command: notes-server, args: [--directory, /workspace/notes], env: {A: ""}}
                - {name: tickets, url: "https://t.example/mcp", headers: {X: "${Y}"}, runs_on: host}
              timeout_secs: 300
              output_file: /workspace/report.json
              output_schema: {type: object, required: [a]}
              output_retries: 0
            """,
        )
    }

    @Test func `a pipeline with everything`() throws {
        func agent(_ name: String) -> VoidBox { VoidBox(name).skill(.agent(.claudio)).prompt(name) }
        let pipeline = Pipeline.named("p", agent("a").output("facts").output("more", directory: "/srv/more"))
            .fanOut(
                [
                    agent("b").input("facts").retry(.attempts(4)).memory(.mebibytes(512)),
                    agent("c").llm(.claude(model: "m")),
                ],
                timeout: .seconds(60),
                onFailure: .continue,
            )
            .pipe(agent("d").outputSchema(.file("/dev/null")).mount("/tmp", at: "/srv/x"), onFailure: .stop)
            .llm(.scripted("turns.yaml"))
            .maxParallel(2).onFailure(.continue).cancelGrace(.seconds(1))
            .retry(Retry(attempts: 2, delay: .milliseconds(5), factor: 1.5, maxDelay: .seconds(1)))
            .memory(.gibibytes(1))
        #expect(pipeline.count == 4)
        // The schema is a file that is none.
        #expect(throws: VoidBoxError.self) { try pipeline.specification.validate() }
        let withoutSchema = Pipeline.named("p", agent("a").output("facts").output("more", directory: "/srv/more"))
            .fanOut(
                [
                    agent("b").input("facts").retry(.attempts(4)).memory(.mebibytes(512)),
                    agent("c").llm(.claude(model: "m")),
                ],
                timeout: .seconds(60),
                onFailure: .continue,
            )
            .pipe(agent("d").mount("/tmp", at: "/srv/x"), onFailure: .stop)
            .llm(.scripted("turns.yaml"))
            .maxParallel(2).onFailure(.continue).cancelGrace(.seconds(1))
            .retry(Retry(attempts: 2, delay: .milliseconds(5), factor: 1.5, maxDelay: .seconds(1)))
            .memory(.gibibytes(1))
        try expectTwin(
            withoutSchema.specification,
            """
            kind: pipeline
            name: p
            sandbox: {memory_mb: 1024}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              boxes:
                - name: a
                  prompt: a
                  skills: ["agent:claudio"]
                  outputs: [{name: facts}, {name: more, guest: /srv/more}]
                - name: b
                  prompt: b
                  skills: ["agent:claudio"]
                  inputs: [{from: facts}]
                  retry: {max_attempts: 4, initial_delay_ms: 100, backoff: 2.0, max_delay_ms: 30000}
                  sandbox: {memory_mb: 512}
                - {name: c, prompt: c, skills: ["agent:claudio"], llm: {provider: claude, model: m}}
                - name: d
                  prompt: d
                  skills: ["agent:claudio"]
                  sandbox: {mounts: [{host: /tmp, guest: /srv/x}]}
              stages:
                - {type: box, name: a}
                - {type: fan_out, boxes: [b, c], timeout_secs: 60, on_failure: continue}
                - {type: box, name: d, on_failure: stop}
              max_parallel: 2
              on_failure: continue
              retry: {max_attempts: 2, initial_delay_ms: 5, backoff: 1.5, max_delay_ms: 1000}
              cancel_grace_secs: 1
            """,
        )
    }

    @Test func `a workflow with everything`() throws {
        let workflow = Workflow("w")
            .step("page", "sh", "-c", "echo it works")
            .service("server", "python3", "-m", "http.server", dependsOn: ["page"], ready: .port(8000))
            .service("log", "tail", "-f", "x", ready: .log("ready"), within: .seconds(5))
            .service("idle", "sleep", "100")
            .step("fetch", "curl", "http://127.0.0.1:8000", dependsOn: ["server"], timeout: .seconds(9), retry: Retry())
            .step("result", "cat", stdinFrom: "fetch")
            .output("result")
            .maxParallel(3)
        try expectTwin(
            workflow.specification,
            """
            kind: workflow
            name: w
            workflow:
              steps:
                - {name: page, run: {program: sh, args: [-c, echo it works]}}
                - name: server
                  run: {program: python3, args: [-m, http.server]}
                  depends_on: [page]
                  mode: service
                  ready: {port: 8000}
                - name: log
                  run: {program: tail, args: [-f, x]}
                  mode: service
                  ready: {log_contains: ready, timeout_secs: 5}
                - {name: idle, run: {program: sleep, args: ["100"]}, mode: service}
                - name: fetch
                  run: {program: curl, args: ["http://127.0.0.1:8000"]}
                  depends_on: [server]
                  timeout_secs: 9
                  retry: {}
                - {name: result, run: {program: cat, stdin_from: fetch}}
              output_step: result
              max_parallel: 3
            """,
        )
    }

    @Test func `a sandbox`() throws {
        try expectTwin(
            Sandbox("bench").memory(.mebibytes(512)).specification,
            "{kind: sandbox, name: bench, sandbox: {memory_mb: 512}}",
        )
    }

    @Test func `the specification as text is read by voidbox as the same`() throws {
        let box = VoidBox("x").prompt("2026").environment("YES", "no").skill(.agent(.claudio))
        var read = try Spec.parse(Array(box.specification.json.utf8), file: "x.json")
        read.positions = [:]
        #expect(try box.specification.spec(environment: [:]) == read)
    }

    /// The words of a specification's errors, without their places.
    private func problems(_ yaml: String) -> [String] {
        do throws(SpecError) {
            try Spec.parse(Array(yaml.utf8), file: "s").checkCapabilities(file: "s")
            return []
        } catch {
            return error.issues.map(\.message)
        }
    }

    private func problem(_ specification: Specification) -> String? {
        do throws(VoidBoxError) {
            _ = try specification.spec(environment: [:])
            return nil
        } catch {
            return error.code == .invalid ? error.message : nil
        }
    }

    @Test(arguments: [
        (VoidBox("x").specification, "{kind: agent, name: x, agent: {}}", "VoidBox \"x\""),
        (
            VoidBox("x").prompt("p").memory(.mebibytes(1)).specification,
            "{kind: agent, name: x, sandbox: {memory_mb: 1}, agent: {prompt: p}}", "VoidBox \"x\"",
        ),
        (
            VoidBox("x").prompt("p").output("facts").specification,
            "{kind: agent, name: x, agent: {prompt: p, outputs: [{name: facts}]}}", "VoidBox \"x\"",
        ),
        (
            VoidBox("x").prompt("p").timeout(.zero).specification,
            "{kind: agent, name: x, agent: {prompt: p, timeout_secs: 0}}", "VoidBox \"x\"",
        ),
        (
            VoidBox("a/b").prompt("p").skill(.agent(.codex)).llm(.claude()).specification,
            "{kind: agent, name: a, llm: {provider: claude}, agent: {prompt: p, skills: ['agent:codex']}}",
            "VoidBox \"a-b\"",
        ),
        (
            Pipeline.named("p", VoidBox("a").prompt("p").mode(.mock)).specification,
            "{kind: pipeline, name: p, pipeline: {boxes: [{name: a, prompt: p, sandbox: {mode: mock}}]}}",
            "Pipeline \"p\"",
        ),
        (
            Workflow("w").step("a", "true", dependsOn: ["a"]).specification,
            "{kind: workflow, name: w, workflow: {steps: [{name: a, run: {program: 'true'}, depends_on: [a]}]}}",
            "Workflow \"w\"",
        ),
    ]) func `what makes no sense is told in the words of a specification`(
        _ specification: Specification,
        _ yaml: String,
        _ label: String,
    ) throws {
        let expected = problems(yaml).map { "\(label): \($0)" }
        #expect(!expected.isEmpty)
        #expect(problem(specification)?.split(separator: "\n").map(String.init) == expected)
    }

    @Test func `a skill's file that is not there is told before a box starts`() {
        let problem = problem(VoidBox("x").prompt("p").skill(.file("nowhere/tidy.md")).specification)
        #expect(problem?.hasPrefix("VoidBox \"x\": skill file:nowhere/tidy.md: ") == true)
    }

    @Test func `variables of the host win over what was built`() throws {
        let box = VoidBox("x").prompt("p").llm(.ollama("m"))
        let spec = try box.specification.spec(environment: ["VOIDBOX_LLM_BASE_URL": "http://127.0.0.1:7"])
        #expect(spec.llm?.baseURL == "http://127.0.0.1:7" && spec.llm?.model == "m")
    }
}
