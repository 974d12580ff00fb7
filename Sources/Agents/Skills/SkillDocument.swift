internal import Yams

/// A `SKILL.md`: front matter with the fields of the [Agent Skills specification](https://agentskills.io/specification),
/// and instructions for the agent.
package struct SkillDocument: Hashable, Sendable {
    /// Of the whole file. An agent reads all of it at once.
    package static let maxBytes = 1 << 20
    /// Of the front matter, which has half a dozen short fields.
    static let maxFrontMatterBytes = 64 << 10

    package let name: SkillName
    package let description: String
    package let license: String?
    package let compatibility: String?
    package let metadata: [String: String]
    package let allowedTools: [String]
    /// Fields that the specification does not have. Agents have some of their own, so they are no violation.
    package let unknownFields: [String]

    /// - Parameter directory: The name of the directory that the file is in, which the skill's name must be.
    package init(parsing text: String, directory: String? = nil) throws(SkillViolation) {
        guard text.utf8.count <= Self.maxBytes else {
            throw SkillViolation("SKILL.md is larger than \(Self.maxBytes >> 20) MiB")
        }
        var fields = FrontMatterReader(try Self.mapping(of: try Self.frontMatter(of: text)))
        let name = fields.name(directory: directory)
        let description = fields.text("description", limit: 1024, isRequired: true)
        license = fields.text("license", limit: 1024)
        compatibility = fields.text("compatibility", limit: 500)
        metadata = fields.map("metadata")
        allowedTools = fields.words("allowed-tools")
        unknownFields = fields.unknown
        guard fields.issues.isEmpty, let name, let description else { throw SkillViolation(fields.issues) }
        self.name = name
        self.description = description
    }

    /// True where the text begins with front matter, well-formed or not.
    package static func hasFrontMatter(_ text: String) -> Bool {
        text.hasPrefix("---\n") || text.hasPrefix("---\r\n")
    }

    private static func frontMatter(of text: String) throws(SkillViolation) -> String {
        guard hasFrontMatter(text) else {
            throw SkillViolation("it does not begin with front matter: a line ---, fields, and a line ---")
        }
        var size = 0
        var lines: [Substring] = []
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).dropFirst() {
            if line == "---" { return lines.joined(separator: "\n") + "\n" }
            size += line.utf8.count + 1
            guard size <= maxFrontMatterBytes else {
                throw SkillViolation("the front matter is larger than \(maxFrontMatterBytes >> 10) KiB")
            }
            lines.append(line)
        }
        throw SkillViolation("the front matter does not end: there is no second line ---")
    }

    private static func mapping(of yaml: String) throws(SkillViolation) -> Node.Mapping {
        guard !yaml.utf8.contains(0) else { throw SkillViolation("the front matter contains a NUL character") }
        let root: Node?
        do {
            // What an alias stands for may be as large as an attacker likes, so there are none: with names that no anchor has,
            // the parser stops at the first one that is real.
            _ = try Parser(yaml: yaml.replacingAliasNames()).singleRoot()
            root = try Parser(yaml: yaml).singleRoot()
        } catch {
            throw SkillViolation(Self.words(for: error))
        }
        guard case .mapping(let mapping)? = root else {
            throw SkillViolation("the front matter must be a map of fields, such as \"name: my-skill\"")
        }
        return mapping
    }

    private static func words(for error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?,
            .composer(_, let problem, let mark, _)?:
            // The first line of the file is the ---.
            let place = "line \(mark.line + 1)"
            if problem.contains("alias") { return "\(place) of the front matter has an alias (*name); write it out" }
            return "the front matter is no YAML: \(place): \(problem)"
        case .duplicatedKeysInMapping(let keys, _)?:
            return "the front matter has a field twice: \(keys.joined(separator: ", "))"
        default: return "the front matter is no YAML"
        }
    }
}

extension String {
    fileprivate func replacingAliasNames() -> String {
        let marker = Array("*voidbox-\(UInt64.random(in: .min ... .max))-".utf8)
        var bytes: [UInt8] = []
        for byte in utf8 { bytes += byte == UInt8(ascii: "*") ? marker : [byte] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Takes fields out of front matter and collects what is wrong with them.
private struct FrontMatterReader {
    private var values: [String: Node] = [:]
    private(set) var issues: [SkillViolation.Issue] = []
    private var known: Set<String> = []

    init(_ mapping: Node.Mapping) {
        for (key, value) in mapping {
            if let name = key.scalar?.string {
                values[name] = value
            } else {
                issues.append(.init(nil, "a field's name must be text"))
            }
        }
    }

    var unknown: [String] { values.keys.filter { !known.contains($0) }.sorted() }

    private mutating func value(_ field: String) -> Node? {
        known.insert(field)
        guard let node = values[field] else { return nil }
        if case .scalar(let scalar) = node, scalar.style == .plain, ["", "~", "null"].contains(scalar.string) {
            return nil
        }
        return node
    }

    private mutating func report(_ field: String, _ message: String) {
        issues.append(.init(field, message))
    }

    mutating func name(directory: String?) -> SkillName? {
        guard let text = text("name", limit: .max, isRequired: true) else { return nil }
        do throws(SkillName.Violation) {
            let name = try SkillName(text)
            if let directory, directory != text {
                report("name", "is \"\(text)\", but the skill's directory is \"\(directory)\"; they must be the same")
            }
            return name
        } catch {
            report("name", "\(error)")
            return nil
        }
    }

    mutating func text(_ field: String, limit: Int, isRequired: Bool = false) -> String? {
        guard let node = value(field) else {
            if isRequired { report(field, "is required") }
            return nil
        }
        guard case .scalar(let scalar) = node else {
            report(field, "must be text")
            return nil
        }
        let text = scalar.string
        if text.allSatisfy(\.isWhitespace) { report(field, "must not be empty") }
        let count = text.unicodeScalars.count
        if count > limit { report(field, "has \(count) characters; the limit is \(limit)") }
        return text
    }

    mutating func map(_ field: String) -> [String: String] {
        guard let node = value(field) else { return [:] }
        guard case .mapping(let mapping) = node else {
            report(field, "must be a map of texts")
            return [:]
        }
        var result: [String: String] = [:]
        for (key, value) in mapping {
            guard let name = key.scalar?.string, let text = value.scalar?.string else {
                report(field, "must be a map of texts; \(key.scalar.map { "\"\($0.string)\"" } ?? "a key") is none")
                continue
            }
            result[name] = text
        }
        return result
    }

    /// Text with words, or a list of texts.
    mutating func words(_ field: String) -> [String] {
        guard let node = value(field) else { return [] }
        switch node {
        case .scalar(let scalar): return scalar.string.split(whereSeparator: \.isWhitespace).map(String.init)
        case .sequence(let sequence):
            let words = sequence.compactMap { $0.scalar?.string }
            if words.count != sequence.count { report(field, "must be text or a list of texts") }
            return words
        case .mapping, .alias:
            report(field, "must be text or a list of texts")
            return []
        }
    }
}
