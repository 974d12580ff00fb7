internal import JSONCoding
internal import Primitives
internal import Spec

/// What a builder comes to: a specification, as `voidbox run --file` reads it.
public struct Specification: Hashable, Sendable, CustomStringConvertible {
    let document: JSONValue
    /// What messages call it. Paths are relative to the working directory, so it must not look like one.
    let label: String

    init(_ document: JSONValue, of label: String) {
        self.document = document
        self.label = label.replacing("/", with: "-")
    }

    /// The specification as JSON, which `voidbox run --file` reads like YAML. Relative paths are as they were said.
    public var json: String { String(decoding: document.encoded, as: UTF8.self) }

    public var description: String { json }

    /// Throws what is wrong with it, in the words that `voidbox validate` has for the same specification.
    public func validate() throws(VoidBoxError) {
        _ = try spec(environment: Host.current.environment)
    }

    func spec(environment: [String: String]) throws(VoidBoxError) -> Spec {
        do throws(SpecError) {
            let spec = try Spec.load(document, name: label).applying(environment: environment)
            try spec.checkCapabilities(file: label)
            return spec
        } catch {
            throw VoidBoxError(.invalid, error.description)
        }
    }
}
