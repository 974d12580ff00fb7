package import Sandboxing

/// A terminal of the host's, for an agent's own user interface.
package struct AgentTerminal: Sendable {
    package var size: TerminalSize
    /// What kind it is, as in `TERM`.
    package var type: String
    /// Shows the session until its program has ended.
    package var show: @Sendable (any ExecSession) async throws -> ExecExit

    package init(
        size: TerminalSize,
        type: String,
        show: @escaping @Sendable (any ExecSession) async throws -> ExecExit,
    ) {
        self.size = size
        self.type = type
        self.show = show
    }
}

extension AgentRun {
    /// Opens the agent's own user interface and leaves it to the terminal. There is no stream to read and no output file.
    package func run(on terminal: AgentTerminal) async throws -> AgentResult {
        try await provision()
        let start = ContinuousClock.now
        var request = runtime.terminalRequest(for: task)
        if !task.prompt.isEmpty { request.argv += ["--", task.prompt] }
        request.environment.merge(task.environment) { $1 }
        request.environment["TERM"] = terminal.type
        request.terminal = terminal.size
        request.keepsInputOpen = true
        var result = AgentResult()
        do {
            result.end(with: try await terminal.show(try await sandbox.exec(request)))
        } catch let error as SandboxError where error.code == .cannotStart {
            result.failure = cannotStart(error)
        }
        result.duration = .now - start
        return result
    }
}

extension AgentResult {
    /// Of an agent whose user has seen everything else.
    fileprivate mutating func end(with exit: ExecExit) {
        take(exit.status)
        if exit.outOfMemory {
            failure = AgentFailure("the agent ran out of memory", hint: "give the box more with sandbox.memory_mb")
        } else if !exit.status.isSuccess {
            failure = AgentFailure("the agent ended with status \(exit.status.shellCode)")
        }
    }
}
