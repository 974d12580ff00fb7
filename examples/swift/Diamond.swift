import VoidBox

/// Four boxes: one collects, two work on what it found at the same time, the last one joins their results. As YAML:
/// `../diamond.yaml`.
enum Diamond {
    static let collect = VoidBox("collect")
        .skill(Examples.agent())
        .environment("MOCK_CLAUDE_OUTPUT", "/workspace/output/facts.md=queues, devices, drivers")
        .prompt("Collect the facts about virtio into /workspace/output/facts.md.")
        .output("facts")

    static let praise = VoidBox("praise")
        .skill(Examples.agent())
        .prompt("Say what is good about what /workspace/input/facts.md tells.")
        .input("facts")

    static let criticize = VoidBox("criticize")
        .skill(Examples.agent())
        .prompt("Say what is bad about what /workspace/input/facts.md tells.")
        .input("facts")

    static let judge = VoidBox("judge")
        .skill(Examples.agent())
        .prompt("Your input is a JSON array with the praise and the criticism. Write one page.")

    static let pipeline = Pipeline.named("diamond", collect)
        .fanOut([praise, criticize], timeout: .seconds(600), onFailure: .continue)
        .pipe(judge)
        .memory(.mebibytes(512))
        .maxParallel(2)
        .retry(Retry(attempts: 2, delay: .milliseconds(500)))
        .llm(.scripted("examples/scripts/quickstart.yaml"))

    /// With what the boxes say as they say it, in place of all that happens.
    static func run() async throws -> RunResult {
        try await pipeline.runStreaming { box, chunk in Examples.say("[\(box)] \(chunk)") }
    }
}
