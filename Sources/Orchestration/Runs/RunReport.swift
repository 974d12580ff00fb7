package import Primitives

/// What a run came to. Its JSON is the contract of `voidbox run --output json`; keys are snake_case.
package struct RunReport: Codable, Hashable, Sendable {
    /// Nil for a run that is not recorded.
    package var runID: RunID?
    package var name: String
    package var kind: String
    package var success: Bool
    /// The text of the output file if there is one, else the agent's last words or the output step's stdout.
    package var output: String
    /// The output as JSON, where a schema was asked for and it fits.
    package var structuredOutput: JSONValue?
    /// Number of stages that the run has: of those in `stageResults`, some may have been skipped.
    package var stages: Int
    /// In US dollars; nil where the model's price is not known.
    package var totalCostUSD: Double?
    package var inputTokens: UInt64
    package var outputTokens: UInt64
    package var cacheReadTokens: UInt64
    package var cacheWriteTokens: UInt64
    package var durationMilliseconds: UInt64
    package var backend: String
    /// False when the run was not isolated (`mock`): such a report proves nothing about a real run.
    package var isolated: Bool
    package var stageResults: [StageReport]
    package var failure: RunFailure?
    /// What a workflow wrote to `/workspace/result.json`.
    package var result: JSONValue?
    package var artifacts: [ArtifactReport]?
    /// Things that did not stop the run but that its owner should know.
    package var warnings: [String]

    package enum CodingKeys: String, CodingKey {
        case runID = "run_id"
        case name, kind, success, output
        case structuredOutput = "structured_output"
        case stages
        case totalCostUSD = "total_cost_usd"
        case inputTokens = "input_tokens"
        case outputTokens = "output_tokens"
        case cacheReadTokens = "cache_read_tokens"
        case cacheWriteTokens = "cache_write_tokens"
        case durationMilliseconds = "duration_ms"
        case backend, isolated
        case stageResults = "stage_results"
        case failure, result, artifacts, warnings
    }

    /// A report of a run that has not done anything yet.
    package init(name: String, kind: String) {
        self.name = name
        self.kind = kind
        success = false
        output = ""
        stages = 0
        inputTokens = 0
        outputTokens = 0
        cacheReadTokens = 0
        cacheWriteTokens = 0
        durationMilliseconds = 0
        backend = "none"
        isolated = false
        stageResults = []
        warnings = []
    }
}

/// A file that a run left for its owner, or leaves while it goes on.
package struct ArtifactReport: Codable, Hashable, Sendable {
    package var name: String
    package var mediaType: String
    package var sizeBytes: UInt64
    /// On the host.
    package var path: String

    package enum CodingKeys: String, CodingKey {
        case name
        case mediaType = "media_type"
        case sizeBytes = "size_bytes"
        case path
    }
}

/// One agent or one workflow step.
package struct StageReport: Codable, Hashable, Sendable {
    package enum Status: String, Codable, Sendable {
        case succeeded, failed
        /// Not started, because of what failed or was cancelled before it.
        case skipped
        /// Stopped by hand, alone or with the whole run.
        case cancelled
    }

    package var name: String
    package var status: Status
    /// What a shell would report; nil where nothing was started.
    package var exitCode: Int32?
    package var signal: Int32?
    package var durationMilliseconds: UInt64
    package var toolCalls: Int?
    package var error: String?
    /// How often it was tried, where that may be more than once.
    package var attempts: Int?
    /// How often it was started again, of a service with a rule for that.
    package var restarts: Int?
    /// How many versions of its output it has published, of an agent that is a service.
    package var versions: Int?
    /// Of a box of a pipeline, all its attempts together.
    package var inputTokens: UInt64?
    package var outputTokens: UInt64?
    package var costUSD: Double?
    /// Of a box of a pipeline.
    package var output: String?
    /// Of a box of a pipeline with a schema that its output fits.
    package var structuredOutput: JSONValue?

    package enum CodingKeys: String, CodingKey {
        case name, status
        case exitCode = "exit_code"
        case signal
        case durationMilliseconds = "duration_ms"
        case toolCalls = "tool_calls"
        case error, attempts, restarts, versions
        case inputTokens = "input_tokens"
        case outputTokens = "output_tokens"
        case costUSD = "cost_usd"
        case output
        case structuredOutput = "structured_output"
    }

    package init(
        name: String,
        status: Status,
        exitCode: Int32? = nil,
        signal: Int32? = nil,
        durationMilliseconds: UInt64 = 0,
        toolCalls: Int? = nil,
        error: String? = nil,
    ) {
        self.name = name
        self.status = status
        self.exitCode = exitCode
        self.signal = signal
        self.durationMilliseconds = durationMilliseconds
        self.toolCalls = toolCalls
        self.error = error
    }
}

/// Why a run failed: what, on which resource, what to try.
package struct RunFailure: Codable, Hashable, Sendable, Error, CustomStringConvertible {
    /// Which exit status the failure calls for.
    package enum Class: String, Codable, Sendable {
        /// The run itself failed: the agent, a step, the box.
        case run
        /// The request makes no sense: specification, arguments.
        case usage
        /// This host cannot do it: no hypervisor, no image.
        case host
        case interrupted
    }

    package var `class`: Class
    package var message: String
    package var hint: String?

    package init(_ class: Class, _ message: String, hint: String? = nil) {
        self.class = `class`
        self.message = message
        self.hint = hint
    }

    package var description: String {
        guard let hint else { return message }
        return "\(message)\n  hint: \(hint)"
    }
}
