internal import Primitives
package import Sandboxing

/// Runs an agent in a box to its end: provisions it, follows its stream, and takes its output, which may have to fit a schema.
package struct AgentRun: Sendable {
    /// A larger result belongs into a share.
    package static let maxOutputFileBytes = 16 << 20
    private static let stderrTail = 16 << 10

    let runtime: any AgentRuntime
    let task: AgentTask
    let sandbox: any SandboxInstance

    package init(_ task: AgentTask, by runtime: any AgentRuntime, in sandbox: any SandboxInstance) {
        self.runtime = runtime
        self.task = task
        self.sandbox = sandbox
    }

    /// Runs the task to its end. What goes wrong with the agent is in the result; what goes wrong with the box is thrown.
    package func run(onEvent: @Sendable (AgentEvent) async -> Void) async throws -> AgentResult {
        try await provision()
        let start = ContinuousClock.now
        var result = try await execute(.first, prompt: AgentPrompt.first(task), start, onEvent)
        try await readOutput(&result)
        try await satisfySchema(&result, start, onEvent)
        result.duration = .now - start
        return result
    }

    /// One launch of a service in a box that is provisioned: to its end, or until it is told to stop. Its output file is left to
    /// those who watch it.
    package func launch(
        until request: StopRequest,
        grace: Duration,
        onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws -> AgentResult {
        let start = ContinuousClock.now
        var result = try await execute(.first, prompt: AgentPrompt.first(task), start, until: (request, grace), onEvent)
        result.duration = .now - start
        return result
    }

    /// Writes what must be in the box before the agent starts.
    package func provision() async throws {
        for file in runtime.files(for: task) {
            try await sandbox.writeFile(file.path, file.bytes, options: WriteOptions(mode: file.mode))
        }
        if let input = task.input { try await sandbox.writeFile(task.inputFile, Array(input.utf8)) }
    }

    // MARK: The output

    /// What stands at the place of the output file is the agent's doing, so whatever is wrong with it is the agent's failure:
    /// the rest of the result counts all the same.
    private func readOutput(_ result: inout AgentResult) async throws {
        result.outputFile = nil
        do {
            result.outputFile = try await sandbox.readFile(task.outputFile, limit: Self.maxOutputFileBytes)
        } catch let error as SandboxError where error.code == .notFound {
            // One that failed has nothing to write; with a schema there will be more to say.
            guard result.failure == nil, task.outputSchema == nil else { return }
            result.warnings.append("the output file \(task.outputFile) was not written")
        } catch let error as SandboxError {
            let failure =
                error.code == .resourceExhausted
                ? AgentFailure(
                    "the output file \(task.outputFile) is larger than \(Self.maxOutputFileBytes >> 20) MiB",
                    hint: "let the agent write large results into a mounted directory",
                )
                : AgentFailure(
                    "the output file \(task.outputFile) cannot be read: \(error.message)",
                    hint: "it must be an ordinary file",
                )
            result.failure = result.failure ?? failure
        }
    }

    /// Tells the agent what is wrong with its output and lets it go on, a bounded number of times.
    private func satisfySchema(
        _ result: inout AgentResult,
        _ start: ContinuousClock.Instant,
        _ onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws {
        guard let schema = task.outputSchema else { return }
        var retries = task.outputRetries
        while result.failure == nil {
            let check = OutputCheck(result.outputFile, schema)
            if case .valid(let document) = check {
                result.structuredOutput = document
                return
            }
            let problems = check.problems
            guard retries > 0, let session = result.sessionID else {
                let more = problems.count > 3 ? " (and \(problems.count - 3) more)" : ""
                result.failure = AgentFailure(
                    "the output file \(task.outputFile) does not fit output_schema: "
                        + problems.prefix(3).joined(separator: "; ") + more,
                    hint: "raise output_retries, or say in the prompt what the schema wants",
                )
                return
            }
            retries -= 1
            await onEvent(.warning("the output does not fit the schema: \(problems[0]); asking the agent again"))
            let prompt = AgentPrompt.correction(task, problems)
            let next = try await execute(.resuming(session: session), prompt: prompt, start, onEvent)
            result.take(next, usageCoversSession: runtime.usageCoversSession)
            try await readOutput(&result)
        }
    }

    // MARK: While it runs

    private func execute(
        _ turn: AgentTurn,
        prompt: String,
        _ start: ContinuousClock.Instant,
        until stop: (request: StopRequest, grace: Duration)? = nil,
        _ onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws -> AgentResult {
        var request = runtime.request(for: task, turn: turn)
        request.environment.merge(task.environment) { $1 }
        // All turns together have the time of the task.
        request.timeout = task.isService ? nil : max(task.timeout - (ContinuousClock.now - start), .milliseconds(1))
        request.keepsInputOpen = true
        let session: any ExecSession
        do {
            session = try await sandbox.exec(request)
        } catch let error as SandboxError where error.code == .cannotStart {
            var result = AgentResult()
            result.failure = cannotStart(error)
            result.couldNotStart = true
            return result
        }
        return try await session.feeding(Array(prompt.utf8)) {
            guard let stop else { return try await follow(session, onEvent) }
            return try await session.ending(on: stop.request, grace: stop.grace) { try await follow(session, onEvent) }
        }
    }

    func cannotStart(_ error: SandboxError) -> AgentFailure {
        AgentFailure(
            "the agent's program \(task.program) cannot be started in the box: \(error.message)",
            hint: task.programHint,
        )
    }

    private func follow(
        _ session: any ExecSession,
        _ onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws -> AgentResult {
        var parser = runtime.makeParser()
        var errors = LineSplitter(limit: 1 << 20)
        var tail: [UInt8] = []
        var exit: ExecExit?
        while let event = try await session.nextEvent() {
            switch event {
            case .stdout(let bytes):
                do throws(LineSplitter.TooLong) {
                    for event in try parser.feed(bytes) { await onEvent(event) }
                } catch {
                    var result = parser.result
                    result.failure = AgentFailure("the agent wrote a line of more than \(error.limit >> 20) MiB")
                    return result
                }
            case .stderr(let bytes):
                tail = (tail + bytes).suffix(Self.stderrTail)
                // A line beyond the limit is not for people; its end stays in the tail.
                for line in (try? errors.feed(bytes)) ?? [] {
                    await onEvent(.stderr(String(decoding: line, as: UTF8.self)))
                }
            case .exited(let end): exit = end
            }
        }
        for event in parser.finish() { await onEvent(event) }
        var result = parser.result
        if parser.unreadableLines > 0 {
            result.warnings.append(
                "\(parser.unreadableLines) lines of the agent's output were not JSON and were skipped"
            )
        }
        guard let exit else {
            throw SandboxError(.protocolViolation, resource: task.program, "it ended without a status")
        }
        result.take(exit.status)
        result.failure =
            result.failure
            ?? Self.failure(exit, isComplete: parser.isComplete, stderr: String(decoding: tail, as: UTF8.self), task)
        return result
    }

    /// What an ending means that the agent itself did not call an error; nil for a good one.
    static func failure(_ exit: ExecExit, isComplete: Bool, stderr: String, _ task: AgentTask) -> AgentFailure? {
        let said = stderr.split(separator: "\n").suffix(5).joined(separator: "\n")
        let suffix = said.isEmpty ? "" : ": \(said)"
        if exit.outOfMemory {
            return AgentFailure("the agent ran out of memory", hint: "give the box more with sandbox.memory_mb")
        }
        if exit.timedOut {
            return AgentFailure(
                "the agent did not finish within \(task.timeout.wholeMilliseconds / 1000) s",
                hint: "raise agent.timeout_secs",
            )
        }
        switch exit.status {
        case .signal(let signal): return AgentFailure("the agent crashed with signal \(signal)\(suffix)")
        case .code(0) where isComplete: return nil
        case .code(let code) where isComplete:
            return AgentFailure("the agent exited with status \(code)\(suffix)", hint: LoginProblem.hint(in: said))
        case .code(let code):
            return AgentFailure(
                "the agent ended without a result event (exit status \(code))\(suffix)",
                hint: LoginProblem.hint(in: said),
            )
        }
    }
}

extension AgentResult {
    mutating func take(_ status: ExecExit.Status) {
        switch status {
        case .code(let code): exitCode = Int32(code)
        case .signal(let number): signal = number
        }
    }

    /// What a later turn of the same session adds, or a later launch of a service. Its last words and its end are the whole's.
    package mutating func take(_ next: AgentResult, usageCoversSession: Bool) {
        var next = next
        next.toolCalls = toolCalls + next.toolCalls
        next.warnings = warnings + next.warnings
        next.turns += turns
        next.sessionID = next.sessionID ?? sessionID
        next.model = next.model ?? model
        if let before = costUSD { next.costUSD = before + (next.costUSD ?? 0) }
        if !usageCoversSession { next.usage = usage + next.usage }
        self = next
    }
}
