/// Where in a file, counted from 1.
package struct SpecPosition: Hashable, Comparable, Sendable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (left: SpecPosition, right: SpecPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One thing that is wrong with a specification.
package struct SpecIssue: Error, Hashable, Sendable {
    /// Nil where the file as a whole is meant.
    package var position: SpecPosition?
    package var message: String

    package init(_ position: SpecPosition?, _ message: String) {
        self.position = position
        self.message = message
    }
}

/// Everything that is wrong with a specification, in the order of the file.
package struct SpecError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Problems that are told; beyond them, their number is.
    private static let maxTold = 20

    package let file: String
    package let issues: [SpecIssue]

    package init(file: String, issues: [SpecIssue]) {
        self.file = file
        self.issues = issues.sorted { ($0.position ?? .start) < ($1.position ?? .start) }
    }

    /// A line for each: `agent.yaml:7:3: unknown key "promt" in agent; did you mean "prompt"?`
    package var description: String {
        var lines = issues.prefix(Self.maxTold).map { issue in
            guard let position = issue.position else { return "\(file): \(issue.message)" }
            return "\(file):\(position.line):\(position.column): \(issue.message)"
        }
        if issues.count > Self.maxTold { lines.append("\(file): and \(issues.count - Self.maxTold) more") }
        return lines.joined(separator: "\n")
    }
}

extension SpecPosition {
    fileprivate static let start = SpecPosition(line: 0, column: 0)
}

/// "did you mean": the nearest of some words.
enum Suggestion {
    /// The word that differs least, if it differs little enough to be a slip.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let limit = max(1, word.count / 3)
        if word.count >= 3, let longer = candidates.first(where: { $0.hasPrefix(word) }) { return longer }
        return
            candidates
            .map { (word: $0, distance: distance(Array(word.lowercased()), Array($0.lowercased()))) }
            .filter { $0.distance <= limit }
            .min { ($0.distance, $0.word) < ($1.distance, $1.word) }?
            .word
    }

    /// `; did you mean "x"?`, or the list of what there is.
    static func text(for word: String, among candidates: [String]) -> String {
        if let nearest = nearest(to: word, among: candidates) { return "; did you mean \"\(nearest)\"?" }
        return "; expected one of: \(candidates.joined(separator: ", "))"
    }

    /// Damerau-Levenshtein, neighbours only: a swap of two letters is one slip.
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        if abs(left.count - right.count) > 8 || max(left.count, right.count) > 64 { return .max }
        var rows = [Array(0...right.count)]
        for (i, a) in left.enumerated() {
            var row = [i + 1]
            for (j, b) in right.enumerated() {
                var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a == b ? 0 : 1))
                if i > 0, j > 0, a == right[j - 1], left[i - 1] == b { cost = min(cost, rows[i - 1][j - 1] + 1) }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
