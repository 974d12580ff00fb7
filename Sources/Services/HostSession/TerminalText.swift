/// Text from a guest, a model or a specification on its way to a terminal.
package enum TerminalText {
    /// Newlines and tabs stay. Other control characters, which could move the cursor or set the title, and those that turn
    /// the direction of writing, which make text look like another, become visible: `\u{1B}`.
    package static func safe(_ text: String) -> String {
        replacing(text) { "\\u{\(String($0.value, radix: 16, uppercase: true))}" }
    }

    /// As `safe`, on one line of at most a thousand characters.
    package static func line(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(1000).map { $0 == "\n" || $0 == "\t" || $0 == "\r" ? " " : $0 }
        return safe(String(String.UnicodeScalarView(scalars)))
    }

    /// The same for a JSON text, where a string may spell them as escapes.
    package static func safeJSON(_ text: String) -> String {
        replacing(text) { scalar in
            let digits = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    private static func replacing(_ text: String, _ visible: (Unicode.Scalar) -> String) -> String {
        guard text.unicodeScalars.contains(where: steers) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if steers(scalar) {
                result.append(contentsOf: visible(scalar).unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    /// All below U+10000.
    private static func steers(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A: false
        case 0x00...0x1F, 0x7F...0x9F: true
        case 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
