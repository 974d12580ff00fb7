package import FoundationEssentials
internal import Primitives

/// The agent's list of MCP servers, `.mcp.json`.
package enum MCPConfiguration {
    /// Their names, sorted; none for a file that is missing or says something else.
    package static func serverNames(_ contents: Data?) -> [String] {
        guard let contents, let value = try? JSONDecoder().decode(JSONValue.self, from: contents) else { return [] }
        return value["mcpServers"]?.objectValue?.keys.sorted() ?? []
    }
}
