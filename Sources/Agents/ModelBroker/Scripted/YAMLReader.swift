internal import Primitives
internal import Yams

/// Reads a YAML document strictly: every key is known, every value has its type, and every complaint has its place.
struct YAMLReader {
    let node: Node
    /// Nodes refer to their anchors only as long as it lives.
    private let parser: Parser
    /// How to speak of this node: `turns[2].tool_use`.
    let path: String

    static let maxDocumentSize = 1 << 20
    private static let maxDepth = 64

    init(document text: String) throws(ModelScriptError) {
        do {
            parser = try Parser(yaml: text, encoding: .utf8)
            guard let root = try parser.singleRoot() else { throw ModelScriptError("the file is empty") }
            node = root
        } catch let error as ModelScriptError {
            throw error
        } catch let error as YamlError {
            throw ModelScriptError(error)
        } catch {
            throw ModelScriptError("is no YAML document: \(error)")
        }
        path = ""
    }

    private init(_ node: Node, path: String, of parser: Parser) throws(ModelScriptError) {
        self.node = node
        self.path = path
        self.parser = parser
        // An alias stands for a copy of what it names, and copies of copies would have no end.
        if node.anchor != nil { throw failure("anchors and aliases are not supported") }
    }

    func failure(_ message: String) -> ModelScriptError {
        let subject = path.isEmpty ? "" : "\(path): "
        return ModelScriptError(line: node.mark?.line, column: node.mark?.column, subject + message)
    }

    var line: Int { node.mark?.line ?? 1 }

    // MARK: Mappings

    /// The members of a mapping whose keys are all among the known ones.
    func members(known: [String]) throws(ModelScriptError) -> [String: YAMLReader] {
        var result: [String: YAMLReader] = [:]
        for (name, member) in try anyMembers() {
            guard known.contains(name) else {
                throw member.failure("is not known; known here are \(known.joined(separator: ", "))")
            }
            result[name] = member
        }
        return result
    }

    private func anyMembers() throws(ModelScriptError) -> [(String, YAMLReader)] {
        guard case .mapping(let mapping) = node else { throw failure("must be a mapping, not \(kind)") }
        var result: [(String, YAMLReader)] = []
        for (key, value) in mapping {
            let keyReader = try YAMLReader(key, path: path, of: parser)
            guard case .scalar(let name) = key else { throw keyReader.failure("a key must be a word") }
            let place = path.isEmpty ? name.string : "\(path).\(name.string)"
            result.append((name.string, try YAMLReader(value, path: place, of: parser)))
        }
        return result
    }

    // MARK: Sequences

    func elements() throws(ModelScriptError) -> [YAMLReader] {
        guard case .sequence(let sequence) = node else { throw failure("must be a list, not \(kind)") }
        var result: [YAMLReader] = []
        for (index, element) in sequence.enumerated() {
            result.append(try YAMLReader(element, path: "\(path)[\(index)]", of: parser))
        }
        return result
    }

    var isSequence: Bool {
        guard case .sequence = node else { return false }
        return true
    }

    // MARK: Scalars

    func string() throws(ModelScriptError) -> String {
        guard case .string(let value) = try scalar() else { throw failure("must be text, not \(kind)") }
        return value
    }

    func integer(in range: ClosedRange<Int>) throws(ModelScriptError) -> Int {
        guard case .integer(let value) = try scalar(), let value = Int(exactly: value), range.contains(value) else {
            throw failure("must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// YAML 1.2's core schema.
    private func scalar() throws(ModelScriptError) -> JSONValue {
        guard case .scalar(let scalar) = node else { throw failure("must be a single value, not \(kind)") }
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        switch scalar.string {
        case "", "~", "null": return .null
        case "true": return .bool(true)
        case "false": return .bool(false)
        default: break
        }
        let mayBeNumber = scalar.string.utf8.first.map { $0 <= UInt8(ascii: "9") } ?? false
        if mayBeNumber, let value = Int64(scalar.string) { return .integer(value) }
        if mayBeNumber, let value = Double(scalar.string), value.isFinite, !scalar.string.lowercased().contains("x") {
            return .number(value)
        }
        return .string(scalar.string)
    }

    /// Any value, as JSON has them.
    func json(depth: Int = 0) throws(ModelScriptError) -> JSONValue {
        guard depth < Self.maxDepth else { throw failure("is nested deeper than \(Self.maxDepth) levels") }
        switch node {
        case .scalar, .alias: return try scalar()
        case .sequence:
            var values: [JSONValue] = []
            for element in try elements() { values.append(try element.json(depth: depth + 1)) }
            return .array(values)
        case .mapping:
            var values: [String: JSONValue] = [:]
            for (name, member) in try anyMembers() { values[name] = try member.json(depth: depth + 1) }
            return .object(values)
        }
    }

    private var kind: String {
        switch node {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "\"\(scalar.string.prefix(40))\""
        }
    }
}

extension ModelScriptError {
    fileprivate init(_ error: YamlError) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            self.init(line: mark.line, column: mark.column, problem)
        case .duplicatedKeysInMapping(let duplicates, let context):
            self.init(
                line: context.mark.line,
                column: context.mark.column,
                "the key \(duplicates.first ?? "") is there twice",
            )
        default:
            self.init("is no YAML document: \(error)")
        }
    }
}
