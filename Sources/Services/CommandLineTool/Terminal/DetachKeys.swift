/// The keys that leave a terminal whose program goes on, such as `ctrl-p,ctrl-q`.
struct DetachKeys: Hashable, Sendable {
    static let standard = "ctrl-p,ctrl-q"

    private let sequence: [UInt8]
    /// How many of them have come one after another.
    private var matched = 0

    /// Nil for what names no keys. Empty: there are none.
    init?(_ text: String) {
        var sequence: [UInt8] = []
        for key in text.lowercased().split(separator: ",") {
            let name = key.hasPrefix("ctrl-") ? key.dropFirst(5) : key
            guard name.utf8.count == 1, let byte = name.utf8.first, (0x21...0x7E).contains(byte) else { return nil }
            if name.count == key.count {
                sequence.append(byte)
            } else {
                // What a terminal sends for Ctrl and one of @, A to Z, [, \, ], ^ and _.
                guard (0x61...0x7A).contains(byte) || [0x40, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F].contains(byte) else {
                    return nil
                }
                sequence.append(byte & 0x1F)
            }
        }
        self.sequence = sequence
    }

    /// Takes what was typed and returns what the program gets of it: a beginning of the sequence is held back until it is clear
    /// that it is none.
    ///
    /// - Returns: With `isComplete`, what comes behind the sequence is dropped.
    mutating func take(_ bytes: [UInt8]) -> (forwarded: [UInt8], isComplete: Bool) {
        guard !sequence.isEmpty else { return (bytes, false) }
        var forwarded: [UInt8] = []
        for byte in bytes {
            if byte != sequence[matched] {
                forwarded += sequence[..<matched]
                matched = 0
            }
            if byte == sequence[matched] {
                matched += 1
                if matched == sequence.count {
                    matched = 0
                    return (forwarded, true)
                }
            } else {
                forwarded.append(byte)
            }
        }
        return (forwarded, false)
    }
}
