package import Primitives

/// A schema for JSON documents: the part of [JSON Schema 2020-12](https://json-schema.org/draft/2020-12) that can be checked
/// in bounded time. A keyword outside of that part is an error when the schema is read, never ignored.
///
/// Types, `enum` and `const`; objects with `properties`, `required`, `additionalProperties`, `minProperties` and
/// `maxProperties`; arrays with `items`, `prefixItems`, `minItems`, `maxItems` and `uniqueItems`; lengths of text; ranges of
/// numbers; `allOf`, `anyOf`, `oneOf`, `not`; `$ref` to a place in the same schema. Annotations are accepted and say nothing.
package struct JSONSchema: Hashable, Sendable {
    package static let maxSchemas = 5000
    package static let maxDepth = 64

    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case null, boolean, integer, number, string, array, object
    }

    /// What is wrong with a schema, and where.
    package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
        package let pointer: JSONPointer
        package let message: String

        package var description: String { "#\(pointer): \(message)" }
    }

    indirect enum Node: Hashable, Sendable {
        /// `true` or `false`
        case always(Bool)
        case keywords(Keywords)
    }

    struct Keywords: Hashable, Sendable {
        var reference: String?
        var kinds: Set<Kind>?
        var constants: [JSONValue]?
        var properties: [String: Node] = [:]
        var required: [String] = []
        var additionalProperties: Node?
        var propertyCount: ClosedRange<Int>?
        var items: Node?
        var prefixItems: [Node] = []
        var itemCount: ClosedRange<Int>?
        var hasUniqueItems = false
        var length: ClosedRange<Int>?
        var minimum: Double?
        var maximum: Double?
        var exclusiveMinimum: Double?
        var exclusiveMaximum: Double?
        var multipleOf: Double?
        var allOf: [Node] = []
        var anyOf: [Node] = []
        var oneOf: [Node] = []
        var not: Node?
    }

    /// As it was written, for the agent.
    package let document: JSONValue
    let root: Node
    /// Where a `$ref` leads, by its text.
    let targets: [String: Node]

    package init(_ document: JSONValue) throws(Violation) {
        var reader = SchemaReader(document)
        let root = try reader.node(document, JSONPointer(), depth: 0)
        try reader.resolveReferences()
        self.document = document
        self.root = root
        targets = reader.targets
    }
}
