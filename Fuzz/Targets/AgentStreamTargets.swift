import AgentRuntimes

extension FuzzTarget {
    static let claudeStream = stream("claude-stream") { ClaudeStreamParser() }
    static let codexStream = stream("codex-stream") { CodexStreamParser() }

    /// A stream that arrives in small pieces.
    private static func stream(_ name: String, _ make: @escaping @Sendable () -> some AgentStreamParser) -> FuzzTarget {
        FuzzTarget(name) { bytes in
            var parser = make()
            var rest = bytes[...]
            while !rest.isEmpty {
                guard (try? parser.feed(Array(rest.prefix(17)))) != nil else { return }
                rest = rest.dropFirst(17)
            }
            _ = parser.finish()
        }
    }
}
