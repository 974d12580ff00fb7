/// What is wrong with a skill, all of it at once.
package struct SkillViolation: Error, Hashable, Sendable, CustomStringConvertible {
    package struct Issue: Hashable, Sendable, CustomStringConvertible {
        /// The field of the front matter; nil for what concerns the whole.
        package let field: String?
        package let message: String

        package init(_ field: String?, _ message: String) {
            self.field = field
            self.message = message
        }

        package var description: String { field.map { "field \($0): \(message)" } ?? message }
    }

    package let issues: [Issue]

    package init(_ issues: [Issue]) {
        self.issues = issues
    }

    package init(_ message: String) {
        issues = [Issue(nil, message)]
    }

    package var description: String { issues.map(\.description).joined(separator: "; ") }
}
