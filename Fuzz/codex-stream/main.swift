import AgentRuntimes
import FuzzDriver

/// A stream that arrives in small pieces.
fuzz { bytes in
    var parser = CodexStreamParser()
    var rest = bytes[...]
    while !rest.isEmpty {
        guard (try? parser.feed(Array(rest.prefix(17)))) != nil else { return }
        rest = rest.dropFirst(17)
    }
    _ = parser.finish()
}
