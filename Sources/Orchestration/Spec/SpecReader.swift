internal import Yams

/// Collects what is wrong while a document is read, so that one pass tells all. Confined to the call that parses.
final class SpecReader {
    private(set) var issues: [SpecIssue] = []
    private(set) var positions: [String: SpecPosition] = [:]
    private var nodesLeft = SpecDocument.maxNodes

    func report(_ position: SpecPosition?, _ message: String) {
        // Of a document that was not read to its end, nothing is known to be missing.
        guard nodesLeft > 0 else { return }
        issues.append(SpecIssue(position, message))
    }

    func note(_ path: String, _ position: SpecPosition?) {
        positions[path] = position
    }

    /// False once the budget of nodes is spent: reading stops, and the document is refused.
    func visit(_ node: Node) -> Bool {
        if nodesLeft == 1 {
            report(position(of: node), "the specification has more than \(SpecDocument.maxNodes) values")
        }
        nodesLeft = max(nodesLeft - 1, 0)
        return nodesLeft > 0
    }

    /// Nil for a node that was not read from text.
    func position(of node: Node) -> SpecPosition? {
        node.mark.map { SpecPosition(line: $0.line, column: $0.column) }
    }

    func map(_ node: Node, _ path: String, as name: String) -> MapReader? {
        guard visit(node) else { return nil }
        guard case .mapping(let mapping) = node else {
            report(position(of: node), "\(name) must be a map, not \(Self.kind(of: node))")
            return nil
        }
        return MapReader(self, mapping, path, name, position(of: node))
    }

    static func kind(of node: Node) -> String {
        switch node {
        case .mapping: return "a map"
        case .sequence: return "a list"
        case .alias: return "an alias"
        case .scalar(let scalar):
            if node.isTagged(.int) || node.isTagged(.float) { return "the number \(scalar.string.prefix(40))" }
            if node.isTagged(.bool) { return "the truth value \(scalar.string.prefix(40))" }
            return node.isTagged(.null) ? "nothing" : "the text \"\(scalar.string.prefix(40))\""
        }
    }
}

/// Reads the keys of one map. A key is known by being asked for; `finish` reports the ones that nobody asked for.
final class MapReader {
    let reader: SpecReader
    let path: String
    /// What messages call it, such as "agent".
    let name: String
    let position: SpecPosition?
    private let values: [String: (key: SpecPosition?, value: Node)]
    private var known: [String] = []

    init(_ reader: SpecReader, _ mapping: Node.Mapping, _ path: String, _ name: String, _ position: SpecPosition?) {
        self.reader = reader
        self.path = path
        self.name = name
        self.position = position
        var values: [String: (key: SpecPosition?, value: Node)] = [:]
        for (key, value) in mapping {
            guard reader.visit(key) else { break }
            guard let text = key.scalar?.string else {
                reader.report(reader.position(of: key), "a key of \(name) must be text")
                continue
            }
            values[text] = (reader.position(of: key), value)
            reader.note(path.isEmpty ? text : "\(path).\(text)", reader.position(of: key))
        }
        self.values = values
    }

    func has(_ key: String) -> Bool { values[key] != nil }
    func position(of key: String) -> SpecPosition? { values[key]?.key ?? position }

    func report(_ key: String, _ message: String) {
        reader.report(position(of: key), message)
    }

    private func label(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The value of a key; nil, too, for an explicit nothing.
    func value(_ key: String) -> Node? {
        if !known.contains(key) { known.append(key) }
        guard let node = values[key]?.value, reader.visit(node) else { return nil }
        if case .scalar = node, node.isTagged(.null) { return nil }
        return node
    }

    private func mismatch(_ key: String, _ node: Node, _ expected: String) {
        reader.report(reader.position(of: node), "\(label(key)) must be \(expected), not \(SpecReader.kind(of: node))")
    }

    // MARK: Values

    func string(_ key: String) -> String? {
        guard let node = value(key) else { return nil }
        guard case .scalar(let scalar) = node, node.isTagged(.str) || scalar.style != .plain else {
            mismatch(key, node, "text (put it in quotes)")
            return nil
        }
        return checked(scalar.string, label(key), node)
    }

    /// What becomes an argument, a path or a variable ends at a NUL, whatever stands behind it.
    private func checked(_ text: String, _ label: String, _ node: Node) -> String? {
        guard text.utf8.contains(0) else { return text }
        reader.report(reader.position(of: node), "\(label) must not contain a NUL character")
        return nil
    }

    func requiredString(_ key: String) -> String? {
        if let text = string(key) { return text }
        if values[key] == nil || value(key) == nil { reportMissing(key) }
        return nil
    }

    /// Unless a key is there that was probably meant, about which the reader is told anyway.
    func reportMissing(_ key: String, _ message: String? = nil) {
        let slip = values.keys.contains { !known.contains($0) && Suggestion.nearest(to: $0, among: [key]) != nil }
        if !slip { reader.report(position, message ?? "\(name) lacks the required key \"\(key)\"") }
    }

    func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let node = value(key) else { return nil }
        guard case .scalar(let scalar) = node, scalar.style == .plain, let number = Int(scalar.string) else {
            mismatch(key, node, "a whole number")
            return nil
        }
        guard range.contains(number) else {
            let bounds =
                range.upperBound == .max ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
            reader.report(reader.position(of: node), "\(label(key)) is \(number); it must be \(bounds)")
            return nil
        }
        return number
    }

    func number(_ key: String, in range: ClosedRange<Double>) -> Double? {
        guard let node = value(key) else { return nil }
        guard case .scalar(let scalar) = node, scalar.style == .plain, let number = Double(scalar.string) else {
            mismatch(key, node, "a number")
            return nil
        }
        guard range.contains(number) else {
            let bounds = "\(range.lowerBound) to \(range.upperBound)"
            reader.report(reader.position(of: node), "\(label(key)) is \(number); it must be \(bounds)")
            return nil
        }
        return number
    }

    func boolean(_ key: String) -> Bool? {
        guard let node = value(key) else { return nil }
        guard case .scalar(let scalar) = node, scalar.style == .plain, let truth = Bool(scalar.string.lowercased())
        else {
            mismatch(key, node, "true or false")
            return nil
        }
        return truth
    }

    func word<Word: RawRepresentable<String> & CaseIterable>(_ key: String, _: Word.Type = Word.self) -> Word? {
        guard let text = string(key) else { return nil }
        if let word = Word(rawValue: text) { return word }
        let all = Word.allCases.map(\.rawValue)
        reader.report(
            values[key].flatMap { reader.position(of: $0.value) },
            "\(label(key)): unknown word \"\(text)\"\(Suggestion.text(for: text, among: all))",
        )
        return nil
    }

    func strings(_ key: String) -> [String]? {
        list(key)?.compactMap { index, node in
            guard reader.visit(node) else { return nil }
            if case .scalar(let scalar) = node, !node.isTagged(.null) {
                return checked(scalar.string, "\(label(key))[\(index)]", node)
            }
            reader.report(
                reader.position(of: node),
                "\(label(key))[\(index)] must be text, not \(SpecReader.kind(of: node))"
            )
            return nil
        }
    }

    /// Numbers and truth values count as the text they are written as: `PORT: 8080`.
    func stringMap(_ key: String) -> [String: String] {
        guard let map = map(key) else { return [:] }
        var result: [String: String] = [:]
        for (name, entry) in map.values {
            guard reader.visit(entry.value) else { break }
            guard case .scalar(let scalar) = entry.value else {
                reader.report(entry.key, "\(label(key)).\(name) must be text, not \(SpecReader.kind(of: entry.value))")
                continue
            }
            let text = entry.value.isTagged(.null) ? "" : scalar.string
            result[name] = checked(text, "\(label(key)).\(name)", entry.value)
        }
        return result
    }

    func map(_ key: String) -> MapReader? {
        guard let node = value(key) else { return nil }
        return reader.map(node, label(key), as: label(key))
    }

    func maps(_ key: String) -> [MapReader]? {
        list(key)?.compactMap { index, node in
            reader.map(node, "\(label(key))[\(index)]", as: "\(label(key))[\(index)]")
        }
    }

    func list(_ key: String) -> [(index: Int, node: Node)]? {
        guard let node = value(key) else { return nil }
        guard case .sequence(let sequence) = node else {
            mismatch(key, node, "a list")
            return nil
        }
        return sequence.enumerated().map { ($0.offset, $0.element) }
    }

    /// Reports unknown keys. To be called after every key was asked for.
    func finish() {
        for (key, entry) in values where !known.contains(key) {
            let place = path.isEmpty ? "" : " in \(path)"
            reader.report(entry.key, "unknown key \"\(key)\"\(place)\(Suggestion.text(for: key, among: known))")
        }
    }
}

extension Node {
    /// Whether YAML's rules make it a value of that type.
    func isTagged(_ name: Tag.Name) -> Bool {
        tag == Tag(name)
    }
}
