internal import JSONCoding
package import JSONSchema
internal import LinuxSystem
internal import Primitives
package import Skills

/// What an agent is given beside its prompt.
package enum SkillSpec: Hashable, Sendable {
    case agent(String)
    case file(String)
    case remote(RemoteSkillReference)
    case cli(String)
    case mcp(MCPServer)
    case image(String, mount: String, readonly: Bool)
    case inline(name: String, content: String)
}

extension SkillSpec {
    /// The name of the directory that the agent finds it in; nil for one that is no text of the agent's.
    ///
    /// A file is called as it is named; `SKILL.md`, as in the Agent Skills specification, as its directory, and so is a
    /// directory.
    package var name: String? {
        switch self {
        case .inline(let name, _): return name
        case .remote(let reference): return reference.name
        case .file(let path):
            let components = path.split(separator: "/")
            guard let file = components.last?.lowercased() else { return "" }
            if file == "skill.md", components.count > 1 { return components[components.count - 2].lowercased() }
            return String(file.lastIndex(of: ".").map { file[..<$0] } ?? file[...])
        case .agent, .cli, .mcp, .image: return nil
        }
    }
}

/// What an agent's output must be: a schema, or a file of the host with one.
package enum OutputSchemaSpec: Hashable, Sendable {
    case schema(JSONSchema)
    /// As written; relative to the directory of the specification.
    case file(String)
}

extension OutputSchemaSpec {
    private static let maxBytes = 1 << 20

    /// The schema itself. Throws `OutputSchemaProblem` for a file without one.
    package func read(relativeTo specification: String) throws -> JSONSchema {
        let name: String
        switch self {
        case .schema(let schema): return schema
        case .file(let file): name = file
        }
        let path = Spec.resolve(name, relativeTo: specification)
        do {
            let bytes = try FileSystem.read(path, limit: Self.maxBytes)
            guard let document = try? JSONValue(decoding: bytes) else {
                throw OutputSchemaProblem("output_schema: \(path) is not JSON")
            }
            return try JSONSchema(document)
        } catch let error as SyscallError {
            throw OutputSchemaProblem("output_schema: \(path) cannot be read: \(error.errno)")
        } catch let error as JSONSchema.Violation {
            throw OutputSchemaProblem("output_schema: \(path)\(error)")
        }
    }
}

package struct OutputSchemaProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
