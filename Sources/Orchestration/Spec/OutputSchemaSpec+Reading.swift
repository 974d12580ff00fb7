internal import JSONSchema
internal import Primitives
internal import Yams

extension OutputSchemaSpec {
    /// A map is the schema, text the path of a file with it.
    init?(_ map: MapReader) {
        guard let node = map.value("output_schema") else { return nil }
        if case .scalar(let scalar) = node {
            guard !scalar.string.isBlank, !scalar.string.utf8.contains(0) else {
                map.report(
                    "output_schema",
                    "\(map.path).output_schema must be a schema, or the path of a file with one"
                )
                return nil
            }
            self = .file(scalar.string)
            return
        }
        guard let document = map.reader.json(node) else { return nil }
        do throws(JSONSchema.Violation) {
            self = .schema(try JSONSchema(document))
        } catch {
            map.report("output_schema", "\(map.path).output_schema\(error.description.dropFirst())")
            return nil
        }
    }

    /// How often the agent may try again.
    static func retries(_ map: MapReader) -> Int? {
        guard let count = map.integer("output_retries", in: 0...10) else { return nil }
        if !map.has("output_schema") {
            map.report("output_retries", "\(map.path).output_retries needs output_schema")
        }
        return count
    }
}

extension SpecReader {
    /// A value as JSON has it. Nil where the budget of values is spent, or for what JSON does not have.
    func json(_ node: Node) -> JSONValue? {
        guard visit(node) else { return nil }
        switch node {
        case .scalar(let scalar): return json(scalar, node)
        case .sequence(let sequence):
            var items: [JSONValue] = []
            for item in sequence {
                guard let value = json(item) else { return nil }
                items.append(value)
            }
            return .array(items)
        case .mapping(let mapping):
            var members: [String: JSONValue] = [:]
            for (key, value) in mapping {
                guard visit(key), let name = key.scalar?.string, let value = json(value) else { return nil }
                members[name] = value
            }
            return .object(members)
        case .alias: return nil
        }
    }

    private func json(_ scalar: Node.Scalar, _ node: Node) -> JSONValue? {
        let text = scalar.string
        guard scalar.style == .plain else { return .string(text) }
        if node.isTagged(.null) { return .null }
        if node.isTagged(.bool) { return Bool(text.lowercased()).map { .bool($0) } ?? .string(text) }
        if node.isTagged(.int) || node.isTagged(.float) {
            if let number = Int64(text) { return .integer(number) }
            if let number = Double(text), number.isFinite { return .number(number) }
            report(position(of: node), "the number \(text.prefix(40)) cannot be written in JSON")
            return nil
        }
        return .string(text)
    }
}
