internal import Primitives

/// Boxes with an agent each, in stages that run one after another; each stage gets what the one before has come to.
///
/// ```swift
/// let result = try await Pipeline.named("analysis", collector)
///     .fanOut([optimist, pessimist])
///     .pipe(judge)
///     .runStreaming { box, chunk in print("[\(box)] \(chunk)") }
/// ```
///
/// What boxes have in common is said of the pipeline; what a box says of itself wins. `mode`, `policy`, `kernel` and
/// `initramfs` are the pipeline's alone.
public struct Pipeline: Runnable, Hashable {
    public let name: String
    public var box = BoxSettings()
    public var telemetry: Telemetry?
    private var stages: [Stage] = []
    private var llm: LLMProvider?
    private var parallelism: Int?
    private var failureRule: FailureRule?
    private var retry: Retry?
    private var cancelGrace: Duration?

    fileprivate struct Stage: Hashable, Sendable {
        var boxes: [VoidBox]
        var isFanOut: Bool
        var timeout: Duration?
        var failureRule: FailureRule?
    }

    public init(_ name: String) {
        self.name = name
    }

    /// A pipeline that begins with a box.
    public static func named(_ name: String, _ first: VoidBox) -> Pipeline { Pipeline(name).pipe(first) }

    /// Number of boxes.
    public var count: Int { stages.reduce(0) { $0 + $1.boxes.count } }

    // MARK: Stages

    /// Adds a stage of one box.
    ///
    /// - Parameters:
    ///   - box: One that is no other stage's.
    ///   - timeout: From the boot of the box to the end of its last attempt.
    ///   - rule: In place of the pipeline's.
    public func pipe(_ box: VoidBox, timeout: Duration? = nil, onFailure rule: FailureRule? = nil) -> Pipeline {
        with { $0.stages.append(Stage(boxes: [box], isFanOut: false, timeout: timeout, failureRule: rule)) }
    }

    /// Adds a stage of boxes that run at the same time. All get what the stage before has come to; the next one gets a JSON
    /// array of their outputs in this order, with `null` for a box that failed.
    public func fanOut(_ boxes: [VoidBox], timeout: Duration? = nil, onFailure rule: FailureRule? = nil) -> Pipeline {
        with { $0.stages.append(Stage(boxes: boxes, isFanOut: true, timeout: timeout, failureRule: rule)) }
    }

    // MARK: What the boxes have in common

    /// The model of each box that has none of its own.
    public func llm(_ provider: LLMProvider) -> Pipeline { with { $0.llm = provider } }

    /// Boxes that run at the same time, 4 unless said otherwise.
    public func maxParallel(_ count: Int) -> Pipeline { with { $0.parallelism = count } }

    /// What a failed box means for the stages after its own.
    public func onFailure(_ rule: FailureRule) -> Pipeline { with { $0.failureRule = rule } }

    /// Of each box that has none of its own.
    public func retry(_ retry: Retry) -> Pipeline { with { $0.retry = retry } }

    /// How long a box that is stopped has to end by itself.
    public func cancelGrace(_ grace: Duration) -> Pipeline { with { $0.cancelGrace = grace } }

    // MARK: As a specification

    public var specification: Specification {
        var document = Document()
        document.text("kind", "pipeline")
        document.text("name", name)
        document.map("sandbox", box.document)
        document["llm"] = llm?.value
        document["observe"] = telemetry?.value
        var pipeline = Document()
        pipeline["boxes"] = .array(stages.flatMap { $0.boxes.map(\.stageDocument) })
        pipeline.list("stages", stages.map(\.document))
        pipeline.number("max_parallel", parallelism)
        pipeline.text("on_failure", failureRule?.rawValue)
        pipeline["retry"] = retry?.value
        pipeline.seconds("cancel_grace_secs", cancelGrace)
        document["pipeline"] = pipeline.value
        return Specification(document.value, of: "Pipeline \"\(name)\"")
    }
}

extension Pipeline.Stage {
    fileprivate var document: JSONValue {
        var stage = Document()
        if isFanOut {
            stage.text("type", "fan_out")
            stage["boxes"] = .array(boxes.map { .string($0.name) })
        } else {
            stage.text("type", "box")
            stage.text("name", boxes.first?.name)
        }
        stage.seconds("timeout_secs", timeout)
        stage.text("on_failure", failureRule?.rawValue)
        return stage.value
    }
}
