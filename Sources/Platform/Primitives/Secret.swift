/// A value that must not reach a log, an error or a report. It prints as "redacted"; `reveal()` is easy to search for.
package struct Secret<Value: Sendable>: Sendable, CustomStringConvertible, CustomReflectable {
    private let value: Value

    package init(_ value: Value) {
        self.value = value
    }

    package func reveal() -> Value { value }

    package var description: String { "redacted" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
