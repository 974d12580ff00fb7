internal import Primitives

/// One agent in a box of its own: `VoidBox = Agent(Skills) + Isolation`.
///
/// ```swift
/// let result = try await VoidBox("researcher")
///     .skill(.agent(.claudeCode))
///     .skill(.file("skills/hackernews-api.md"))
///     .llm(.ollama("qwen3-coder:7b"))
///     .memory(.gibibytes(2))
///     .network()
///     .prompt("Analyze the top stories for trends in AI engineering.")
///     .run()
/// print(result.output)
/// ```
///
/// The same value is a stage of a ``Pipeline``; what only stages have (``output(_:directory:)``, ``input(_:directory:)``,
/// ``retry(_:)``) is refused when it runs alone.
public struct VoidBox: Runnable, Hashable {
    public let name: String
    public var box = BoxSettings()
    public var telemetry: Telemetry?
    private var prompt: String?
    private var skills: [Skill] = []
    private var llm: LLMProvider?
    private var timeout: Duration?
    private var outputFile: String?
    private var outputSchema: OutputSchema?
    private var outputRetries: Int?
    private var outputs: [Exchange] = []
    private var inputs: [Exchange] = []
    private var retry: Retry?
    private var isInteractive = false

    fileprivate struct Exchange: Hashable, Sendable {
        var name: String
        var directory: String?
    }

    /// - Parameter name: What it is called in events, results and telemetry.
    public init(_ name: String) {
        self.name = name
    }

    /// What the agent is to do.
    public func prompt(_ text: String) -> Self { with { $0.prompt = text } }

    /// Gives the agent one more skill.
    public func skill(_ skill: Skill) -> Self { with { $0.skills.append(skill) } }

    public func llm(_ provider: LLMProvider) -> Self { with { $0.llm = provider } }

    /// Of all turns of the agent together; 20 minutes unless said otherwise. Counted in whole seconds.
    public func timeout(_ limit: Duration) -> Self { with { $0.timeout = limit } }

    /// The file of the box whose contents are the result's output; `/workspace/output.json` unless said otherwise.
    public func outputFile(_ path: String) -> Self { with { $0.outputFile = path } }

    /// What the output must be.
    ///
    /// - Parameters:
    ///   - schema: What the output file must fit.
    ///   - retries: How often the agent is told what does not fit; 2 unless said otherwise.
    public func outputSchema(_ schema: OutputSchema, retries: Int? = nil) -> Self {
        with {
            $0.outputSchema = schema
            $0.outputRetries = retries
        }
    }

    // MARK: In a pipeline

    /// A directory of this box, empty at first, that boxes of later stages may have as an input.
    public func output(_ name: String, directory: String? = nil) -> Self {
        with { $0.outputs.append(Exchange(name: name, directory: directory)) }
    }

    /// An output of a box of an earlier stage, for reading.
    public func input(_ name: String, directory: String? = nil) -> Self {
        with { $0.inputs.append(Exchange(name: name, directory: directory)) }
    }

    /// How often this box is tried, each time from the beginning.
    public func retry(_ retry: Retry) -> Self { with { $0.retry = retry } }

    // MARK: As a specification

    /// The agent's own user interface in place of its work on a prompt.
    var interactive: Self { with { $0.isInteractive = true } }

    public var specification: Specification {
        var document = Document()
        document.text("kind", "agent")
        document.text("name", name)
        document.map("sandbox", box.document)
        document["llm"] = llm?.value
        document["observe"] = telemetry?.value
        var agent = agentDocument
        if isInteractive { agent.text("mode", "interactive") }
        document["agent"] = agent.value
        return Specification(document.value, of: "VoidBox \"\(name)\"")
    }

    /// As a box of a pipeline.
    var stageDocument: JSONValue {
        var document = agentDocument
        document.text("name", name)
        document["llm"] = llm?.value
        document["observe"] = telemetry?.value
        document.map("sandbox", box.document)
        return document.value
    }

    private var agentDocument: Document {
        var agent = Document()
        agent.text("prompt", prompt)
        agent.list("skills", skills.map(\.document))
        agent.seconds("timeout_secs", timeout)
        agent.text("output_file", outputFile)
        agent["output_schema"] = outputSchema?.document
        agent.number("output_retries", outputRetries)
        agent.list("outputs", outputs.map { $0.document("name") })
        agent.list("inputs", inputs.map { $0.document("from") })
        agent["retry"] = retry?.value
        return agent
    }
}

extension VoidBox.Exchange {
    fileprivate func document(_ key: String) -> JSONValue {
        var exchange = Document()
        exchange.text(key, name)
        exchange.text("guest", directory)
        return exchange.value
    }
}
