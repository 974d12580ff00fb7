/// A place in a JSON document (RFC 6901). The empty pointer is the whole document.
package struct JSONPointer: Hashable, Sendable, CustomStringConvertible {
    package private(set) var tokens: [String] = []

    package init() {}

    package init(_ tokens: [String]) {
        self.tokens = tokens
    }

    /// Of the form `/a/b~1c/0`; nil for what is none.
    package init?(parsing text: some StringProtocol) {
        guard text.isEmpty || text.first == "/" else { return nil }
        for token in text.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            var unescaped = ""
            var rest = token[...]
            while let character = rest.popFirst() {
                guard character == "~" else {
                    unescaped.append(character)
                    continue
                }
                switch rest.popFirst() {
                case "0": unescaped.append("~")
                case "1": unescaped.append("/")
                default: return nil
                }
            }
            tokens.append(unescaped)
        }
    }

    package func appending(_ token: String) -> JSONPointer { JSONPointer(tokens + [token]) }
    package func appending(_ index: Int) -> JSONPointer { appending(String(index)) }

    package var description: String {
        tokens.map { token in
            let escaped = token.map { $0 == "~" ? "~0" : $0 == "/" ? "~1" : String($0) }
            return "/" + escaped.joined()
        }
        .joined()
    }
}
