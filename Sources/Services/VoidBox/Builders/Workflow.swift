internal import Primitives

/// Plain programs in one box, each as soon as what it needs is there.
///
/// ```swift
/// let result = try await Workflow("shout")
///     .step("greet", "echo", "hello from a box")
///     .step("shout", "tr", "a-z", "A-Z", stdinFrom: "greet")
///     .output("shout")
///     .run()
/// ```
public struct Workflow: Runnable, Hashable {
    /// When a service is ready for the steps that depend on it.
    @nonexhaustive
    public enum Readiness: Hashable, Sendable {
        /// As soon as it runs.
        case started
        /// Once a line of its output contains the text.
        case log(String)
        /// Once the file is there.
        case file(String)
        /// Once something listens on that TCP port of the box.
        case port(UInt16)
    }

    public let name: String
    public var box = BoxSettings()
    public var telemetry: Telemetry?
    private var steps: [JSONValue] = []
    private var outputStep: String?
    private var parallelism: Int?

    public init(_ name: String) {
        self.name = name
    }

    /// Adds a program.
    ///
    /// - Parameters:
    ///   - name: What other steps call it.
    ///   - program: A name is looked up in the box's `PATH`.
    ///   - arguments: The program's.
    ///   - source: The step whose output is the program's stdin.
    ///   - dependencies: The steps that must have succeeded, or be ready, before this one starts.
    ///   - timeout: Of each attempt.
    ///   - retry: How often it is tried.
    public func step(
        _ name: String,
        _ program: String,
        _ arguments: String...,
        stdinFrom source: String? = nil,
        dependsOn dependencies: [String] = [],
        timeout: Duration? = nil,
        retry: Retry? = nil,
    ) -> Workflow {
        var step = Self.step(name, program, arguments, stdinFrom: source, dependsOn: dependencies)
        step.seconds("timeout_secs", timeout)
        step["retry"] = retry?.value
        return with { [step] in $0.steps.append(step.value) }
    }

    /// Adds a program that goes on while others work. It is stopped when the steps that depend on it have ended.
    ///
    /// - Parameters:
    ///   - name: What other steps call it.
    ///   - program: A name is looked up in the box's `PATH`.
    ///   - arguments: The program's.
    ///   - source: The step whose output is the program's stdin.
    ///   - dependencies: The steps that must have succeeded, or be ready, before this one starts.
    ///   - readiness: When the steps that depend on it may start.
    ///   - limit: How long it may take until it is ready.
    public func service(
        _ name: String,
        _ program: String,
        _ arguments: String...,
        stdinFrom source: String? = nil,
        dependsOn dependencies: [String] = [],
        ready readiness: Readiness = .started,
        within limit: Duration = .seconds(60),
    ) -> Workflow {
        var step = Self.step(name, program, arguments, stdinFrom: source, dependsOn: dependencies)
        step.text("mode", "service")
        var ready = Document()
        switch readiness {
        case .started: break
        case .log(let text): ready.text("log_contains", text)
        case .file(let path): ready.text("file", path)
        case .port(let port): ready.number("port", Int(port))
        }
        if readiness != .started {
            ready.seconds("timeout_secs", limit)
            step["ready"] = ready.value
        }
        return with { [step] in $0.steps.append(step.value) }
    }

    /// The step whose output is the run's; else the last one that nothing depends on.
    public func output(_ step: String) -> Workflow { with { $0.outputStep = step } }

    /// Steps that run at the same time, 16 unless said otherwise. Services do not count.
    public func maxParallel(_ count: Int) -> Workflow { with { $0.parallelism = count } }

    private static func step(
        _ name: String,
        _ program: String,
        _ arguments: [String],
        stdinFrom source: String?,
        dependsOn dependencies: [String],
    ) -> Document {
        var run = Document()
        run.text("program", program)
        run.list("args", arguments.map { .string($0) })
        run.text("stdin_from", source)
        var step = Document()
        step.text("name", name)
        step["run"] = run.value
        step.list("depends_on", dependencies.map { .string($0) })
        return step
    }

    public var specification: Specification {
        var document = Document()
        document.text("kind", "workflow")
        document.text("name", name)
        document.map("sandbox", box.document)
        document["observe"] = telemetry?.value
        var workflow = Document()
        workflow["steps"] = .array(steps)
        workflow.text("output_step", outputStep)
        workflow.number("max_parallel", parallelism)
        document["workflow"] = workflow.value
        return Specification(document.value, of: "Workflow \"\(name)\"")
    }
}
