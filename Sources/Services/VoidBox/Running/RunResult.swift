internal import FoundationEssentials
internal import JSONCoding
internal import Primitives
internal import Runs

/// What a run came to.
public struct RunResult: Sendable {
    public let name: String
    public let success: Bool
    /// The text of the output file if there is one, else the agent's last words or the output step's stdout; of a pipeline,
    /// that of its last stage.
    public let output: String
    /// The output as JSON text, where a schema was asked for and it fits.
    public let structuredOutput: String?
    public let tokens: TokenCount
    /// In US dollars; nil where the model's price is not known.
    public let cost: Double?
    public let duration: Duration
    /// What the boxes ran on, such as "kvm".
    public let backend: String
    /// False for a run that was not isolated, which proves nothing about a real one.
    public let isIsolated: Bool
    /// Agents and steps, in the order of the pipeline or workflow.
    public let stages: [StageResult]
    /// Why it did not succeed.
    public let failure: VoidBoxError?
    /// What a workflow wrote to `/workspace/result.json`, as JSON text.
    public let resultFile: String?
    public let artifacts: [Artifact]
    /// What did not stop the run but should be known.
    public let warnings: [String]

    /// Calls of tools by all agents.
    public var toolCalls: Int { stages.reduce(0) { $0 + ($1.toolCalls ?? 0) } }

    public subscript(stage name: String) -> StageResult? { stages.first { $0.name == name } }

    /// This result if the run succeeded; else throws ``failure``.
    @discardableResult
    public func requireSuccess() throws(VoidBoxError) -> RunResult {
        if success { return self }
        throw failure ?? VoidBoxError(.runFailed, "\(name) did not succeed")
    }

    /// The output as a value: with a schema, what fits it; else the text as JSON. Throws `DecodingError`.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data((structuredOutput ?? output).utf8))
    }
}

public struct TokenCount: Hashable, Sendable {
    public let input: UInt64
    public let output: UInt64
    public var cacheRead: UInt64 = 0
    public var cacheWrite: UInt64 = 0
}

/// A file that a workflow left.
public struct Artifact: Hashable, Sendable {
    public let name: String
    public let mediaType: String
    public let size: UInt64
    /// On this host.
    public let path: String
}

/// One agent or one step of a run.
public struct StageResult: Hashable, Sendable {
    public enum Status: String, Hashable, Sendable {
        case succeeded, failed
        /// Not started, because of what failed before it.
        case skipped
        case cancelled
    }

    public let name: String
    public let status: Status
    /// Of an agent in a pipeline.
    public let output: String?
    /// The output as JSON text, where a schema was asked for and it fits.
    public let structuredOutput: String?
    /// What a shell would report; nil where nothing was started.
    public let exitCode: Int32?
    public let duration: Duration
    public let toolCalls: Int?
    /// With the first one; nil where there could be only one.
    public let attempts: Int?
    /// Of an agent in a pipeline, all attempts together.
    public let tokens: TokenCount?
    public let cost: Double?
    /// Why it did not succeed.
    public let error: String?
}

// MARK: From the report

extension RunResult {
    init(_ report: RunReport) {
        name = report.name
        success = report.success
        output = report.output
        structuredOutput = report.structuredOutput?.text
        tokens = TokenCount(
            input: report.inputTokens,
            output: report.outputTokens,
            cacheRead: report.cacheReadTokens,
            cacheWrite: report.cacheWriteTokens,
        )
        cost = report.totalCostUSD
        duration = .milliseconds(report.durationMilliseconds)
        backend = report.backend
        isIsolated = report.isolated
        stages = report.stageResults.map { StageResult($0) }
        failure = report.failure.map { VoidBoxError($0) }
        resultFile = report.result?.text
        artifacts = (report.artifacts ?? []).map { artifact in
            Artifact(
                name: artifact.name,
                mediaType: artifact.mediaType,
                size: artifact.sizeBytes,
                path: artifact.path,
            )
        }
        warnings = report.warnings
    }
}

extension StageResult {
    init(_ report: StageReport) {
        name = report.name
        status =
            switch report.status {
            case .succeeded: .succeeded
            case .failed: .failed
            case .skipped: .skipped
            case .cancelled: .cancelled
            }
        output = report.output
        structuredOutput = report.structuredOutput?.text
        exitCode = report.exitCode
        duration = .milliseconds(report.durationMilliseconds)
        toolCalls = report.toolCalls
        attempts = report.attempts
        tokens = report.inputTokens.flatMap { input in
            report.outputTokens.map { TokenCount(input: input, output: $0) }
        }
        cost = report.costUSD
        error = report.error
    }
}

extension JSONValue {
    fileprivate var text: String { String(decoding: encoded, as: UTF8.self) }
}
