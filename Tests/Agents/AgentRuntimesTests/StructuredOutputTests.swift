import JSONCoding
import JSONSchema
import Primitives
import SandboxMock
import Sandboxing
import Synchronization
import Testing

@testable import AgentRuntimes

/// An agent whose output must fit a schema, in boxes that are none.
@Suite("Structured output") struct StructuredOutputTests {
    /// Writes an output per launch, and remembers how it was launched.
    private final class Stand: Sendable {
        let launches = Mutex<[(argv: [String], prompt: String)]>([])
        let outputs: [String?]
        let session: String?

        init(_ outputs: [String?], session: String? = "s-1") {
            self.outputs = outputs
            self.session = session
        }

        var program: MockProgram {
            MockProgram { [self] process in
                var prompt: [UInt8] = []
                while let bytes = try await process.read() { prompt += bytes }
                let number = launches.withLock { launches in
                    launches.append((process.arguments, String(decoding: prompt, as: UTF8.self)))
                    return launches.count - 1
                }
                if let output = outputs[min(number, outputs.count - 1)] {
                    process.files.write(Array(output.utf8), to: "/workspace/output.json")
                }
                let id = session.map { #","session_id":"\#($0)""# } ?? ""
                try await process.write(
                    #"{"type":"result","is_error":false,"result":"turn \#(number)","num_turns":1,"total_cost_usd":0.5\#(id),"#
                        + #""usage":{"input_tokens":10,"output_tokens":1}}"# + "\n"
                )
                return .code(0)
            }
        }
    }

    private static let schema = #"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#

    private func run(_ stand: Stand, retries: Int = 2) async throws -> (result: AgentResult, warnings: [String]) {
        let box = try await MockBackend(programs: ["agent": stand.program])
            .boot(SandboxConfiguration(name: "b", boot: BootArtifacts(kernel: "", initramfs: "", rootDisk: "")))
        var task = AgentTask(program: "agent", prompt: "Count.")
        task.outputSchema = try JSONSchema(try JSONValue(decoding: Array(Self.schema.utf8)))
        task.outputRetries = retries
        let warnings = Mutex<[String]>([])
        let result = try await AgentRun(task, by: ClaudeCodeRuntime(), in: box).run { event in
            if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
        }
        await box.stop(grace: .zero)
        return (result, warnings.withLock { $0 })
    }

    @Test func `output that fits is taken as it is`() async throws {
        let stand = Stand([#"{"n":1}"#])
        let result = try await run(stand).result
        #expect(result.failure == nil)
        #expect(result.structuredOutput == .object(["n": 1]))
        let launches = stand.launches.withLock { $0 }
        #expect(launches.count == 1)
        #expect(launches[0].prompt.contains("valid against this JSON Schema:\n{\"properties\":"))
    }

    @Test func `the agent is told what is wrong, in its own session, until it fits`() async throws {
        let stand = Stand([nil, "not json", #"{"n":"one"}"#, #"{"n":1}"#])
        let (result, warnings) = try await run(stand, retries: 3)
        #expect(result.failure == nil)
        #expect(result.structuredOutput == .object(["n": 1]))
        let launches = stand.launches.withLock { $0 }
        #expect(launches.count == 4)
        #expect(launches.dropFirst().allSatisfy { $0.argv.suffix(2) == ["--resume", "s-1"] })
        #expect(launches[1].prompt.contains("- the file was not written"))
        #expect(launches[2].prompt.contains("- the file is not JSON"))
        #expect(launches[3].prompt.contains("- /n: must be integer, not string"))
        #expect(warnings.count == 3)
        // All turns count.
        #expect(result.costUSD == 2 && result.usage.inputTokens == 40 && result.turns == 4)
        #expect(result.text == "turn 3")
    }

    @Test func `what never fits is a failure with the reasons`() async throws {
        let stand = Stand([#"{"n":"one"}"#])
        let result = try await run(stand).result
        #expect(stand.launches.withLock { $0.count } == 3)
        let failure = try #require(result.failure)
        #expect(
            failure.message
                == "the output file /workspace/output.json does not fit output_schema: /n: must be integer, not string"
        )
        #expect(result.structuredOutput == nil)
    }

    @Test func `an agent without a session is not asked again`() async throws {
        let stand = Stand(["[]"], session: nil)
        let result = try await run(stand).result
        #expect(stand.launches.withLock { $0.count } == 1)
        #expect(result.failure?.message.contains("the document: must be object, not array") == true)
    }
}
