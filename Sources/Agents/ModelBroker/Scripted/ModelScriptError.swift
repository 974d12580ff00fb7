/// Why a script cannot be played: where, and what is wrong there.
package struct ModelScriptError: Error, Hashable, CustomStringConvertible {
    /// The script's path.
    package var file = ""
    /// From 1; nil where the file as a whole is meant.
    package let line: Int?
    package let column: Int?
    package let message: String

    init(line: Int? = nil, column: Int? = nil, _ message: String) {
        self.line = line
        self.column = column
        self.message = message
    }

    package var description: String {
        guard let line else { return "\(file): \(message)" }
        return "\(file):\(line):\(column ?? 1): \(message)"
    }
}
