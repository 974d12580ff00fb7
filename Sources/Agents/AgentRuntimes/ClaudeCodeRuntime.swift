internal import FoundationEssentials
internal import Primitives
package import Sandboxing

/// Runs Claude Code, or a program with its interface, in a box.
package struct ClaudeCodeRuntime: Sendable {
    /// A larger result belongs into a share.
    static let maxOutputFileBytes = 16 << 20
    /// The agent's own directory: its settings and skills, and what it keeps for itself. No directory of the host can be
    /// mounted here, so nothing of the user's is written over, and it is there when the workspace is read-only.
    package static let configurationDirectory = "/run/voidbox/claude"
    private static let stderrTail = 16 << 10

    package init() {}

    /// Runs the task to its end. What goes wrong with the agent is in the result; what goes wrong with the box is thrown.
    package func run(
        _ task: AgentTask,
        in sandbox: any SandboxInstance,
        onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws -> AgentResult {
        try await provision(task, sandbox)
        let start = ContinuousClock.now
        var result = try await execute(task, sandbox, onEvent)
        result.duration = .now - start
        try await readOutput(of: task, in: sandbox, &result)
        return result
    }

    /// What stands at the place of the output file is the agent's doing, so whatever is wrong with it is the agent's failure:
    /// the rest of the result counts all the same.
    private func readOutput(
        of task: AgentTask,
        in sandbox: any SandboxInstance,
        _ result: inout AgentResult,
    ) async throws {
        do {
            result.outputFile = try await sandbox.readFile(task.outputFile, limit: Self.maxOutputFileBytes)
        } catch let error as SandboxError where error.code == .notFound {
            // One that failed has nothing to write.
            guard result.failure == nil else { return }
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

    // MARK: Before

    private func provision(_ task: AgentTask, _ sandbox: any SandboxInstance) async throws {
        // Without these the first start asks questions that nobody answers.
        let own = Self.configurationDirectory
        try await sandbox.writeFile("\(own)/.claude.json", Array(#"{"hasCompletedOnboarding":true}"#.utf8))
        try await sandbox.writeFile("\(own)/settings.json", Array(Self.settings.utf8))
        if let input = task.input { try await sandbox.writeFile(task.inputFile, Array(input.utf8)) }
        for skill in task.skills {
            try await sandbox.writeFile("\(own)/skills/\(skill.name)/SKILL.md", Array(skill.content.utf8))
        }
    }

    private static let settings = #"{"skipWebFetchPreflight":true}"#

    /// The user's prompt, what to write where, and the beginning of the input.
    static func prompt(of task: AgentTask) -> String {
        var prompt = task.prompt
        prompt += "\n\nWrite your final result to the file \(task.outputFile)."
        if let input = task.input {
            prompt += "\n\nYour input is in the file \(task.inputFile). It begins:\n\(input.prefix(4000))"
        }
        return prompt
    }

    static func request(for task: AgentTask) -> ExecRequest {
        // The prompt goes through stdin: one argument holds at most 128 KiB.
        var request = ExecRequest([
            task.program, "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions",
            "--settings", settings,
        ])
        if let model = task.model { request.argv += ["--model", model] }
        request.environment = [
            "HOME": "/home/sandbox",
            "CLAUDE_CONFIG_DIR": configurationDirectory,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        ].merging(task.environment) { $1 }
        request.timeout = task.timeout
        request.keepsInputOpen = true
        return request
    }

    // MARK: While it runs

    private func execute(
        _ task: AgentTask,
        _ sandbox: any SandboxInstance,
        _ onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws -> AgentResult {
        let session: any ExecSession
        do {
            session = try await sandbox.exec(Self.request(for: task))
        } catch let error as SandboxError where error.code == .cannotStart {
            var result = AgentResult()
            result.failure = AgentFailure(
                "the agent's program \(task.program) cannot be started in the box: \(error.message)",
                hint: "make guest builds the agents' disks",
            )
            return result
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            let prompt = Array(Self.prompt(of: task).utf8)
            group.addTask {
                do {
                    try await session.write(prompt)
                    try await session.closeInput()
                } catch let error as SandboxError where error.code == .inputClosed {
                    // It ended before it had read its prompt; how it ended says more.
                }
            }
            do {
                let result = try await follow(session, task, onEvent)
                group.cancelAll()
                await session.close()
                return result
            } catch {
                group.cancelAll()
                await session.close()
                throw error
            }
        }
    }

    private func follow(
        _ session: any ExecSession,
        _ task: AgentTask,
        _ onEvent: @Sendable (AgentEvent) async -> Void,
    ) async throws -> AgentResult {
        var parser = ClaudeStreamParser()
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
        switch exit.status {
        case .code(let code): result.exitCode = Int32(code)
        case .signal(let signal): result.signal = signal
        }
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
