/// Text of a page. What comes from elsewhere becomes part of one only by `escaped`.
enum HTML {
    /// As text and as the value of an attribute in double quotes. Control characters, which no page may have, become visible.
    static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result.append(contentsOf: "&amp;".unicodeScalars)
            case "<": result.append(contentsOf: "&lt;".unicodeScalars)
            case ">": result.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": result.append(contentsOf: "&quot;".unicodeScalars)
            case "'": result.append(contentsOf: "&#39;".unicodeScalars)
            case "\n", "\t": result.append(scalar)
            case "\r": continue
            default:
                // Also what turns the direction of writing.
                let turns = (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
                result.append(scalar.properties.generalCategory == .control || turns ? "\u{FFFD}" : scalar)
            }
        }
        return String(result)
    }

    static func element(_ name: String, _ attributes: [(String, String)] = [], _ content: String) -> String {
        let list = attributes.map { " \($0)=\"\(escaped($1))\"" }.joined()
        return "<\(name)\(list)>\(content)</\(name)>"
    }
}
