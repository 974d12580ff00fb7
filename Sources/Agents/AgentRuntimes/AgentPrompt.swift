internal import JSONCoding
internal import JSONSchema
internal import Primitives

/// What an agent is told.
enum AgentPrompt {
    /// The user's prompt, what to write where, and the beginning of the input.
    static func first(_ task: AgentTask) -> String {
        var prompt = task.prompt
        prompt +=
            task.isService
            ? "\n\nWhile you work, keep the file \(task.outputFile) up to date: each version of it is published."
            : "\n\nWrite your final result to the file \(task.outputFile)."
        if let schema = task.outputSchema {
            let text = String(decoding: schema.document.encoded, as: UTF8.self)
            prompt +=
                "\nThe file must hold one JSON document and nothing else, valid against this JSON Schema:\n\(text)"
        }
        if let input = task.input {
            prompt += "\n\nYour input is in the file \(task.inputFile). It begins:\n\(input.prefix(4000))"
        }
        return prompt
    }

    static func correction(_ task: AgentTask, _ problems: [String]) -> String {
        """
        The file \(task.outputFile) is not valid against the JSON Schema of this task:
        \(problems.map { "- \($0)" }.joined(separator: "\n"))

        Write the file again so that it is one JSON document that fits the schema, and nothing else.
        """
    }
}

/// An output file against its schema.
enum OutputCheck: Sendable {
    case missing
    case notJSON
    case invalid([String])
    case valid(JSONValue)

    init(_ bytes: [UInt8]?, _ schema: JSONSchema) {
        guard let bytes else {
            self = .missing
            return
        }
        guard let document = try? JSONValue(decoding: bytes) else {
            self = .notJSON
            return
        }
        let mismatches = schema.mismatches(in: document)
        self = mismatches.isEmpty ? .valid(document) : .invalid(mismatches.map(\.description))
    }

    /// In words for the agent, with JSON pointers; none for a valid one.
    var problems: [String] {
        switch self {
        case .missing: ["the file was not written"]
        case .notJSON: ["the file is not JSON"]
        case .invalid(let problems): problems
        case .valid: []
        }
    }
}
