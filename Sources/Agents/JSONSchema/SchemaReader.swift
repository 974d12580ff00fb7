internal import Primitives

/// Reads a schema keyword by keyword.
struct SchemaReader {
    private let document: JSONValue
    private(set) var targets: [String: JSONSchema.Node] = [:]
    private var references: [(text: String, place: JSONPointer)] = []
    private var count = 0

    init(_ document: JSONValue) {
        self.document = document
    }

    private typealias Violation = JSONSchema.Violation

    /// Keywords that describe and do not restrict.
    private static let annotations: Set = [
        "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples",
        "deprecated",
        "readOnly", "writeOnly", "format",
    ]

    mutating func node(
        _ value: JSONValue,
        _ place: JSONPointer,
        depth: Int,
    ) throws(JSONSchema.Violation) -> JSONSchema.Node {
        count += 1
        guard count <= JSONSchema.maxSchemas else {
            throw Violation(pointer: place, message: "there are more than \(JSONSchema.maxSchemas) schemas")
        }
        guard depth <= JSONSchema.maxDepth else {
            throw Violation(pointer: place, message: "it is nested more than \(JSONSchema.maxDepth) deep")
        }
        if case .bool(let truth) = value { return .always(truth) }
        guard let members = value.objectValue else {
            throw Violation(pointer: place, message: "a schema is an object, true or false")
        }
        var keywords = JSONSchema.Keywords()
        var counts = Counts()
        for (keyword, value) in members.sorted(by: { $0.key < $1.key }) {
            let here = place.appending(keyword)
            if try read(keyword, value, here, depth, &keywords) { continue }
            if try counts.read(keyword, value, here) { continue }
            switch keyword {
            case "$defs", "definitions":
                // They are read even if nothing refers to them: what is wrong in them is wrong.
                for (name, schema) in try object(value, here) {
                    _ = try node(schema, here.appending(name), depth: depth + 1)
                }
            case _ where Self.annotations.contains(keyword): continue
            default:
                throw Violation(pointer: here, message: "the keyword \"\(keyword)\" is not supported")
            }
        }
        keywords.propertyCount = counts.range("minProperties", "maxProperties")
        keywords.itemCount = counts.range("minItems", "maxItems")
        keywords.length = counts.range("minLength", "maxLength")
        return .keywords(keywords)
    }

    /// False for a keyword that is none of these.
    private mutating func read(
        _ keyword: String,
        _ value: JSONValue,
        _ here: JSONPointer,
        _ depth: Int,
        _ keywords: inout JSONSchema.Keywords,
    ) throws(JSONSchema.Violation) -> Bool {
        switch keyword {
        case "$ref": keywords.reference = try reference(value, here)
        case "type": keywords.kinds = try kinds(value, here)
        case "enum":
            guard let values = value.arrayValue, !values.isEmpty else {
                throw Violation(pointer: here, message: "must be a list with at least one value")
            }
            keywords.constants = values
        case "const": keywords.constants = [value]
        case "properties":
            for (name, schema) in try object(value, here) {
                keywords.properties[name] = try node(schema, here.appending(name), depth: depth + 1)
            }
        case "required":
            guard let names = value.arrayValue, let texts = names.texts else {
                throw Violation(pointer: here, message: "must be a list of names")
            }
            keywords.required = texts
        case "additionalProperties": keywords.additionalProperties = try node(value, here, depth: depth + 1)
        case "items": keywords.items = try node(value, here, depth: depth + 1)
        case "prefixItems": keywords.prefixItems = try nodes(value, here, depth)
        case "uniqueItems":
            guard let truth = value.boolValue else { throw Violation(pointer: here, message: "must be true or false") }
            keywords.hasUniqueItems = truth
        case "minimum": keywords.minimum = try number(value, here)
        case "maximum": keywords.maximum = try number(value, here)
        case "exclusiveMinimum": keywords.exclusiveMinimum = try number(value, here)
        case "exclusiveMaximum": keywords.exclusiveMaximum = try number(value, here)
        case "multipleOf":
            let divisor = try number(value, here)
            guard divisor > 0 else { throw Violation(pointer: here, message: "must be above 0") }
            keywords.multipleOf = divisor
        case "allOf": keywords.allOf = try nodes(value, here, depth)
        case "anyOf": keywords.anyOf = try nodes(value, here, depth)
        case "oneOf": keywords.oneOf = try nodes(value, here, depth)
        case "not": keywords.not = try node(value, here, depth: depth + 1)
        default: return false
        }
        return true
    }

    // MARK: Values

    private func object(_ value: JSONValue, _ here: JSONPointer) throws(JSONSchema.Violation) -> [(String, JSONValue)] {
        guard let members = value.objectValue else { throw Violation(pointer: here, message: "must be an object") }
        return members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private mutating func nodes(
        _ value: JSONValue,
        _ here: JSONPointer,
        _ depth: Int,
    ) throws(JSONSchema.Violation) -> [JSONSchema.Node] {
        guard let values = value.arrayValue, !values.isEmpty else {
            throw Violation(pointer: here, message: "must be a list with at least one schema")
        }
        var nodes: [JSONSchema.Node] = []
        for (index, schema) in values.enumerated() {
            nodes.append(try node(schema, here.appending(index), depth: depth + 1))
        }
        return nodes
    }

    private func number(_ value: JSONValue, _ here: JSONPointer) throws(JSONSchema.Violation) -> Double {
        guard let number = value.numberValue else { throw Violation(pointer: here, message: "must be a number") }
        return number
    }

    private func kinds(_ value: JSONValue, _ here: JSONPointer) throws(JSONSchema.Violation) -> Set<JSONSchema.Kind> {
        guard let names = value.stringValue.map({ [$0] }) ?? value.arrayValue?.texts, !names.isEmpty else {
            throw Violation(pointer: here, message: "must be the name of a type, or a list of them")
        }
        var kinds: Set<JSONSchema.Kind> = []
        for name in names {
            guard let kind = JSONSchema.Kind(rawValue: name) else {
                let known = JSONSchema.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw Violation(pointer: here, message: "\"\(name)\" is no type; the types are \(known)")
            }
            kinds.insert(kind)
        }
        return kinds
    }

    // MARK: References

    private mutating func reference(_ value: JSONValue, _ here: JSONPointer) throws(JSONSchema.Violation) -> String {
        guard let text = value.stringValue, text.hasPrefix("#"), JSONPointer(parsing: text.dropFirst()) != nil else {
            throw Violation(pointer: here, message: "must lead to a place in this schema, such as \"#/$defs/name\"")
        }
        references.append((text, here))
        return text
    }

    /// Reads what references lead to. More references may turn up on the way.
    mutating func resolveReferences() throws(JSONSchema.Violation) {
        while let (text, place) = references.popLast() {
            guard targets[text] == nil else { continue }
            guard let pointer = JSONPointer(parsing: text.dropFirst()), let schema = document[pointer] else {
                throw Violation(pointer: place, message: "there is nothing at \"\(text)\"")
            }
            // Before it is read, so that a schema may refer to itself.
            targets[text] = .always(true)
            targets[text] = try node(schema, pointer, depth: 0)
        }
    }
}

/// Lower and upper bounds of counts.
private struct Counts {
    private var values: [String: Int] = [:]
    private static let keywords: Set = [
        "minProperties", "maxProperties", "minItems", "maxItems", "minLength", "maxLength",
    ]

    mutating func read(
        _ keyword: String,
        _ value: JSONValue,
        _ here: JSONPointer,
    ) throws(JSONSchema.Violation) -> Bool {
        guard Self.keywords.contains(keyword) else { return false }
        guard case .integer(let number) = value, let count = Int(exactly: number), count >= 0 else {
            throw JSONSchema.Violation(pointer: here, message: "must be a whole number of at least 0")
        }
        values[keyword] = count
        return true
    }

    func range(_ lower: String, _ upper: String) -> ClosedRange<Int>? {
        guard values[lower] != nil || values[upper] != nil else { return nil }
        let minimum = values[lower] ?? 0
        // Bounds that cross allow nothing; the upper one would be below the lower.
        return minimum...max(values[upper] ?? .max, minimum)
    }
}

extension [JSONValue] {
    /// Nil if one is no text.
    fileprivate var texts: [String]? {
        let texts = compactMap(\.stringValue)
        return texts.count == count ? texts : nil
    }
}

extension JSONValue {
    subscript(pointer: JSONPointer) -> JSONValue? {
        pointer.tokens.reduce(Optional(self)) { value, token in
            if let members = value?.objectValue { return members[token] }
            guard let items = value?.arrayValue, let index = Int(token), items.indices.contains(index) else {
                return nil
            }
            return items[index]
        }
    }
}
