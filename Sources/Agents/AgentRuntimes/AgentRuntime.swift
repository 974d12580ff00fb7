package import Primitives
package import Sandboxing
internal import Skills

/// How one kind of agent is launched and listened to. What is the same for all of them is `AgentRun`'s.
package protocol AgentRuntime: Sendable {
    /// Variables of everything in the box, which the user's own go before.
    var boxEnvironment: [String: String] { get }
    /// What must be in the box before the agent starts: its settings, skills and servers, where it looks for them.
    func files(for task: AgentTask) -> [AgentFile]
    func request(for task: AgentTask, turn: AgentTurn) -> ExecRequest
    /// The agent's own user interface, for people. What it is told first may follow as an argument.
    func terminalRequest(for task: AgentTask) -> ExecRequest
    func makeParser() -> any AgentStreamParser
    /// True where the usage that it tells when it goes on with a session covers all of the session.
    var usageCoversSession: Bool { get }
}

extension AgentRuntime {
    package var boxEnvironment: [String: String] { [:] }
    /// How long an agent waits for an MCP server: in a box all is cold, and an emulated one is slow.
    static var serverStartLimit: Duration { .seconds(120) }
}

/// One launch of the agent.
package enum AgentTurn: Hashable, Sendable {
    case first
    /// Goes on with a session that it had in the same box.
    case resuming(session: String)
}

package struct AgentFile: Hashable, Sendable {
    package var path: String
    package var bytes: [UInt8]
    package var mode: UInt32

    package init(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) {
        self.path = path
        self.bytes = bytes
        self.mode = mode
    }

    package init(_ path: String, _ text: String, mode: UInt32 = 0o644) {
        self.init(path, Array(text.utf8), mode: mode)
    }
}

/// Reads what an agent writes on its stdout: one JSON object a line. Holds one partial line and the result so far, never
/// the stream.
package protocol AgentStreamParser: Sendable {
    mutating func feed(_ bytes: [UInt8]) throws(LineSplitter.TooLong) -> [AgentEvent]
    mutating func finish() -> [AgentEvent]
    /// True once the agent has said how it ended.
    var isComplete: Bool { get }
    var unreadableLines: Int { get }
    var result: AgentResult { get }
}

extension AgentTask {
    /// The skills as files below `directory`.
    func skillFiles(below directory: String) -> [AgentFile] {
        skills.flatMap { skill in
            skill.files.map { file in
                AgentFile(
                    "\(directory)/\(skill.name)/\(file.path)",
                    file.bytes,
                    mode: file.isExecutable ? 0o755 : 0o644
                )
            }
        }
    }
}
