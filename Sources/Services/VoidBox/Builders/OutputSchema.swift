internal import FoundationEssentials
internal import JSONCoding
internal import Primitives

/// The JSON Schema that an agent's output must fit. The agent is told what does not fit, and goes on.
public struct OutputSchema: Hashable, Sendable {
    let document: JSONValue

    /// A file of this host with the schema.
    public static func file(_ path: String) -> OutputSchema { OutputSchema(document: .string(path)) }

    /// The schema itself, as JSON text. Throws `VoidBoxError` for text that is none.
    public static func json(_ text: String) throws(VoidBoxError) -> OutputSchema {
        guard let document = try? JSONValue(decoding: Array(text.utf8)), document.stringValue == nil else {
            throw VoidBoxError(.invalid, "the output schema is not JSON")
        }
        return OutputSchema(document: document)
    }
}
