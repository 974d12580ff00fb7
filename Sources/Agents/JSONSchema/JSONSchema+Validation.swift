package import Primitives

extension JSONSchema {
    /// One place of a document that is not as the schema wants it.
    package struct Mismatch: Hashable, Sendable, CustomStringConvertible {
        /// In the document.
        package let pointer: JSONPointer
        package let message: String

        package var description: String { "\(pointer.tokens.isEmpty ? "the document" : "\(pointer)"): \(message)" }
    }

    /// More would help nobody.
    package static let maxMismatches = 20

    /// What is wrong with the document, none for a valid one. Checking takes a bounded number of steps; a document that
    /// needs more is not valid.
    package func mismatches(in document: JSONValue) -> [Mismatch] {
        var validation = Validation(schema: self)
        let mismatches = validation.check(document, root, JSONPointer(), depth: 0)
        if validation.isExhausted {
            return [Mismatch(pointer: JSONPointer(), message: "it takes too many steps to check")]
        }
        return Array(mismatches.prefix(Self.maxMismatches))
    }
}

/// One document against one schema.
private struct Validation {
    private static let maxSteps = 1_000_000
    private static let maxDepth = 256

    let schema: JSONSchema
    private var steps = 0
    private(set) var isExhausted = false

    init(schema: JSONSchema) {
        self.schema = schema
    }

    private typealias Mismatch = JSONSchema.Mismatch

    mutating func check(
        _ value: JSONValue,
        _ node: JSONSchema.Node,
        _ place: JSONPointer,
        depth: Int,
    ) -> [JSONSchema.Mismatch] {
        steps += 1
        guard steps <= Self.maxSteps, depth <= Self.maxDepth else {
            isExhausted = true
            return []
        }
        switch node {
        case .always(true): return []
        case .always(false): return [Mismatch(pointer: place, message: "nothing is allowed here")]
        case .keywords(let keywords):
            var found = checkKind(value, keywords, place)
            // Of the wrong type, the rest would only repeat that.
            guard found.isEmpty else { return found }
            if let reference = keywords.reference, let target = schema.targets[reference] {
                found += check(value, target, place, depth: depth + 1)
            }
            switch value {
            case .object(let members): found += check(members, keywords, place, depth)
            case .array(let items): found += check(items, keywords, place, depth)
            case .string(let text): found += check(text, keywords, place)
            case .integer(let number): found += check(Double(number), keywords, place)
            case .number(let number): found += check(number, keywords, place)
            case .null, .bool: break
            }
            return found + checkCombinations(value, keywords, place, depth)
        }
    }

    private func checkKind(_ value: JSONValue, _ keywords: JSONSchema.Keywords, _ place: JSONPointer) -> [Mismatch] {
        if let kinds = keywords.kinds, kinds.isDisjoint(with: value.kinds) {
            let wanted = kinds.map(\.rawValue).sorted().joined(separator: " or ")
            return [Mismatch(pointer: place, message: "must be \(wanted), not \(value.kindName)")]
        }
        if let constants = keywords.constants, !constants.contains(where: { $0.equals(value) }) {
            let list = constants.prefix(20).map(\.shortText).joined(separator: ", ")
            return [Mismatch(pointer: place, message: "must be \(constants.count == 1 ? "" : "one of ")\(list)")]
        }
        return []
    }

    // MARK: By type

    private mutating func check(
        _ members: [String: JSONValue],
        _ keywords: JSONSchema.Keywords,
        _ place: JSONPointer,
        _ depth: Int,
    ) -> [Mismatch] {
        var found = keywords.required.filter { members[$0] == nil }.map { name in
            Mismatch(pointer: place, message: "lacks the property \"\(name)\"")
        }
        if let range = keywords.propertyCount, !range.contains(members.count) {
            found.append(Mismatch(pointer: place, message: "has \(members.count) properties, not \(range.words)"))
        }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) where found.count < JSONSchema.maxMismatches {
            let here = place.appending(name)
            if let node = keywords.properties[name] {
                found += check(value, node, here, depth: depth + 1)
            } else if keywords.additionalProperties == .always(false) {
                found.append(Mismatch(pointer: here, message: "is not a property that is allowed here"))
            } else if let node = keywords.additionalProperties {
                found += check(value, node, here, depth: depth + 1)
            }
        }
        return found
    }

    private mutating func check(
        _ items: [JSONValue],
        _ keywords: JSONSchema.Keywords,
        _ place: JSONPointer,
        _ depth: Int,
    ) -> [Mismatch] {
        var found: [Mismatch] = []
        if let range = keywords.itemCount, !range.contains(items.count) {
            found.append(Mismatch(pointer: place, message: "has \(items.count) items, not \(range.words)"))
        }
        if keywords.hasUniqueItems {
            steps += items.count
            if Set(items.map(\.normalized)).count != items.count {
                found.append(Mismatch(pointer: place, message: "has an item twice"))
            }
        }
        for (index, item) in items.enumerated() where found.count < JSONSchema.maxMismatches {
            let node = index < keywords.prefixItems.count ? keywords.prefixItems[index] : keywords.items
            if let node { found += check(item, node, place.appending(index), depth: depth + 1) }
        }
        return found
    }

    private func check(_ text: String, _ keywords: JSONSchema.Keywords, _ place: JSONPointer) -> [Mismatch] {
        guard let range = keywords.length else { return [] }
        let length = text.unicodeScalars.count
        return range.contains(length)
            ? [] : [Mismatch(pointer: place, message: "has \(length) characters, not \(range.words)")]
    }

    private func check(_ number: Double, _ keywords: JSONSchema.Keywords, _ place: JSONPointer) -> [Mismatch] {
        var found: [Mismatch] = []
        func report(_ words: String, _ bound: Double) {
            let shown = JSONValue.number(bound).shortText
            found.append(
                Mismatch(pointer: place, message: "is \(JSONValue.number(number).shortText), not \(words) \(shown)")
            )
        }
        if let bound = keywords.minimum, number < bound { report("at least", bound) }
        if let bound = keywords.maximum, number > bound { report("at most", bound) }
        if let bound = keywords.exclusiveMinimum, number <= bound { report("above", bound) }
        if let bound = keywords.exclusiveMaximum, number >= bound { report("below", bound) }
        if let divisor = keywords.multipleOf {
            let quotient = number / divisor
            // As close as two numbers of this kind come to each other: 0.3 is a multiple of 0.1.
            if !quotient.isFinite || abs(quotient - quotient.rounded()) > 1e-9 * max(1, abs(quotient)) {
                report("a multiple of", divisor)
            }
        }
        return found
    }

    // MARK: Combinations

    private mutating func checkCombinations(
        _ value: JSONValue,
        _ keywords: JSONSchema.Keywords,
        _ place: JSONPointer,
        _ depth: Int,
    ) -> [Mismatch] {
        var found: [Mismatch] = []
        for node in keywords.allOf { found += check(value, node, place, depth: depth + 1) }
        if !keywords.anyOf.isEmpty {
            var best: [Mismatch]?
            for node in keywords.anyOf {
                let problems = check(value, node, place, depth: depth + 1)
                if problems.count < best?.count ?? .max { best = problems }
                if problems.isEmpty { break }
            }
            if let best, !best.isEmpty {
                found.append(Mismatch(pointer: place, message: "fits none of the schemas of anyOf; the nearest:"))
                found += best
            }
        }
        if !keywords.oneOf.isEmpty {
            let fitting = keywords.oneOf.filter { check(value, $0, place, depth: depth + 1).isEmpty }.count
            if fitting != 1 {
                found.append(Mismatch(pointer: place, message: "fits \(fitting) of the schemas of oneOf, not 1"))
            }
        }
        if let not = keywords.not, check(value, not, place, depth: depth + 1).isEmpty, !isExhausted {
            found.append(Mismatch(pointer: place, message: "fits the schema of not"))
        }
        return found
    }
}

extension ClosedRange<Int> {
    fileprivate var words: String {
        if lowerBound == upperBound { return "\(lowerBound)" }
        return upperBound == .max ? "at least \(lowerBound)" : "\(lowerBound) to \(upperBound)"
    }
}

extension JSONValue {
    /// The types that it is of. A whole number is an integer, however it is written.
    fileprivate var kinds: Set<JSONSchema.Kind> {
        switch self {
        case .null: [.null]
        case .bool: [.boolean]
        case .integer: [.integer, .number]
        case .number(let number): number.isFinite && number.rounded() == number ? [.integer, .number] : [.number]
        case .string: [.string]
        case .array: [.array]
        case .object: [.object]
        }
    }

    fileprivate var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer, .number: kinds.contains(.integer) ? "integer" : "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// The same for values that JSON Schema calls equal: 1 and 1.0.
    fileprivate var normalized: JSONValue {
        switch self {
        case .number(let number): Int64(exactly: number).map { .integer($0) } ?? self
        case .array(let items): .array(items.map(\.normalized))
        case .object(let members): .object(members.mapValues(\.normalized))
        case .null, .bool, .integer, .string: self
        }
    }

    fileprivate func equals(_ other: JSONValue) -> Bool { normalized == other.normalized }

    /// For messages.
    fileprivate var shortText: String {
        switch self {
        case .null: return "null"
        case .bool(let truth): return "\(truth)"
        case .integer(let number): return "\(number)"
        case .number(let number): return Int64(exactly: number).map { "\($0)" } ?? "\(number)"
        case .string(let text): return "\"\(text.prefix(60))\(text.count > 60 ? "…" : "")\""
        case .array: return "an array"
        case .object: return "an object"
        }
    }
}
