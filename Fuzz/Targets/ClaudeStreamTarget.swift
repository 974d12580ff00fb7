import AgentRuntimes

extension FuzzTarget {
    /// A stream that arrives in small pieces.
    static let claudeStream = FuzzTarget("claude-stream") { bytes in
        var parser = ClaudeStreamParser()
        var rest = bytes[...]
        while !rest.isEmpty {
            guard (try? parser.feed(Array(rest.prefix(17)))) != nil else { return }
            rest = rest.dropFirst(17)
        }
        _ = parser.finish()
    }
}
