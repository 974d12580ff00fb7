internal import Primitives
internal import Yams

/// A YAML or JSON document as a tree with positions, from bytes that nobody has looked at yet.
enum SpecDocument {
    /// A prompt of many pages fits; a file beyond it is no specification.
    static let maxBytes = 2 << 20
    /// Nodes that a document may have once its aliases are written out.
    static let maxNodes = 100_000
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    static func parse(_ bytes: [UInt8], file: String) throws(SpecError) -> Node {
        do throws(SpecIssue) {
            return try parse(bytes)
        } catch {
            throw SpecError(file: file, issues: [error])
        }
    }

    private static func parse(_ bytes: [UInt8]) throws(SpecIssue) -> Node {
        guard bytes.count <= maxBytes else {
            throw SpecIssue(nil, "the specification is \(bytes.count) bytes; the limit is \(maxBytes)")
        }
        // Editors of some systems begin every text file with it.
        let content = bytes.starts(with: byteOrderMark) ? bytes.dropFirst(byteOrderMark.count) : bytes[...]
        guard let text = String(validating: content, as: UTF8.self) else {
            throw SpecIssue(nil, "the file is not UTF-8 text")
        }
        guard !text.utf8.contains(0) else { throw SpecIssue(nil, "the file contains a NUL byte") }
        guard text.contains(where: { !$0.isWhitespace }) else { throw SpecIssue(nil, "the file is empty") }
        try AliasCensus.check(text, limit: maxNodes)
        let root: Node?
        do {
            root = try Parser(yaml: text).singleRoot()
        } catch {
            throw issue(error)
        }
        guard let root else { throw SpecIssue(nil, "the file is empty") }
        return root
    }

    /// What the parser found wrong, in words of ours where its own name its functions.
    static func issue(_ error: any Error) -> SpecIssue {
        func position(_ mark: Mark) -> SpecPosition { SpecPosition(line: mark.line, column: mark.column) }
        guard let error = error as? YamlError else { return SpecIssue(nil, "cannot be parsed: \(error)") }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            let words = problem.contains("yaml_") ? "it is nested too deeply" : problem
            return SpecIssue(position(mark), "invalid YAML: \(words)")
        case .duplicatedKeysInMapping(let keys, let context):
            return SpecIssue(position(context.mark), "duplicate key \"\(keys.joined(separator: "\", \""))\"")
        case .reader(let problem, _, _, _): return SpecIssue(nil, "invalid YAML: \(problem)")
        default: return SpecIssue(nil, "invalid YAML")
        }
    }
}

extension Node {
    /// Text stays text, whatever it looks like.
    init(_ document: JSONValue) {
        switch document {
        case .null: self = .scalar(Scalar("null", Tag(.null), .plain))
        case .bool(let truth): self = .scalar(Scalar("\(truth)", Tag(.bool), .plain))
        case .integer(let number): self = .scalar(Scalar("\(number)", Tag(.int), .plain))
        case .number(let number): self = .scalar(Scalar("\(number)", Tag(.float), .plain))
        case .string(let text): self = .scalar(Scalar(text, Tag(.str), .doubleQuoted))
        case .array(let items): self = .sequence(Sequence(items.map { Node($0) }))
        case .object(let members):
            self = .mapping(
                Mapping(members.sorted { $0.key < $1.key }.map { (Node(.string($0.key)), Node($0.value)) })
            )
        }
    }
}
