internal import Yams

/// The anchors and aliases of a document, weighed before anything walks what an alias stands for.
///
/// A tree shares what its aliases stand for, but the comparison of keys inside the parser walks it, so a few lines could cost
/// hours. Only the parser knows which `&` and `*` are anchors and aliases and which are a prompt's Markdown. So whatever looks
/// like an alias gets a name that no anchor has: the parser stops at the first one that is real, which then becomes a quoted
/// text of the same place, and so on until it does not stop any more. The tree of that text has no aliases, and what
/// they would come to is counted in it.
struct AliasCensus {
    /// The parser runs once for each alias; a document that is long and has many would keep it busy.
    private static let maxWork = 16 << 20

    private let bytes: [UInt8]
    /// Where something stands that looks like an alias.
    private let candidates: [Int]
    private let marker: [UInt8]
    /// The aliases among the candidates, with their number.
    private var aliases: [Int: Int] = [:]
    private var names: [(name: String, candidate: Int)] = []

    /// Throws if the document is larger than `limit` values once its aliases are written out, or is no YAML.
    static func check(_ text: String, limit: Int) throws(SpecIssue) {
        var census = AliasCensus(text)
        guard census.hasAnchors, !census.candidates.isEmpty else { return }
        try census.run(limit)
    }

    private init(_ text: String) {
        bytes = Array(text.utf8)
        candidates = bytes.indices.dropLast().filter { [bytes] in
            bytes[$0] == UInt8(ascii: "*") && Self.isNamePart(bytes[$0 + 1])
        }
        // Nobody can have written an anchor of that name before.
        marker = Array("voidbox-\(UInt64.random(in: .min ... .max))-".utf8)
    }

    private var hasAnchors: Bool {
        bytes.indices.dropLast().contains { bytes[$0] == UInt8(ascii: "&") && Self.isNamePart(bytes[$0 + 1]) }
    }

    /// What libyaml takes for a part of an anchor's name.
    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private mutating func run(_ limit: Int) throws(SpecIssue) {
        var work = 0
        while true {
            let marked = Marked(self)
            work += marked.bytes.count
            guard work <= Self.maxWork else {
                throw SpecIssue(
                    names.last.map { position(of: $0.candidate) },
                    "the specification has too many aliases (*name) for its length; write the values out",
                )
            }
            do {
                let parser = try Parser(yaml: String(decoding: marked.bytes, as: UTF8.self))
                guard let root = try parser.singleRoot() else { return }
                // A node does not keep its anchor; the parser does.
                try withExtendedLifetime(parser) { () throws(SpecIssue) in
                    var scale = Scale(self, limit)
                    _ = try scale.weigh(root)
                }
                return
            } catch let issue as SpecIssue {
                throw issue
            } catch {
                try take(error, in: marked)
            }
        }
    }

    /// An error at an alias makes it known; any other is the document's.
    private mutating func take(_ error: any Error, in marked: Marked) throws(SpecIssue) {
        if case .composer(_, _, let mark, _)? = error as? YamlError, let offset = marked.offset(of: mark),
            let candidate = marked.starts[offset], aliases[candidate] == nil
        {
            aliases[candidate] = names.count
            names.append((name(of: candidate), candidate))
            return
        }
        let issue = SpecDocument.issue(error)
        let marker = String(decoding: marker, as: UTF8.self)
        throw SpecIssue(
            issue.position.flatMap { marked.original($0) }.map { Self.position(of: $0, in: bytes) },
            issue.message.replacing(marker, with: ""),
        )
    }

    private func name(of candidate: Int) -> String {
        String(decoding: bytes[(candidate + 1)...].prefix { Self.isNamePart($0) }, as: UTF8.self)
    }

    private func position(of candidate: Int) -> SpecPosition { Self.position(of: candidate, in: bytes) }

    // MARK: The text that is parsed

    /// The document with all candidates renamed, and with the aliases among them as texts.
    private struct Marked {
        private(set) var bytes: [UInt8] = []
        /// The candidate at an offset.
        private(set) var starts: [Int: Int] = [:]
        /// Offsets here and there, in order, from which on the two texts run in step.
        private var steps: [(here: Int, original: Int)] = [(0, 0)]

        init(_ census: AliasCensus) {
            bytes.reserveCapacity(census.bytes.count + census.candidates.count * census.marker.count)
            var done = 0
            for candidate in census.candidates {
                bytes += census.bytes[done..<candidate]
                starts[bytes.count] = candidate
                steps.append((bytes.count, candidate))
                if let number = census.aliases[candidate] {
                    bytes += [UInt8(ascii: "\"")] + census.marker + Array("\(number)\"".utf8)
                    done = candidate + 1 + census.names[number].name.utf8.count
                } else {
                    bytes += [UInt8(ascii: "*")] + census.marker
                    done = candidate + 1
                }
                steps.append((bytes.count, done))
            }
            bytes += census.bytes[done...]
        }

        func offset(of mark: Mark) -> Int? {
            AliasCensus.offset(of: SpecPosition(line: mark.line, column: mark.column), in: bytes)
        }

        /// The offset in the document as it was written.
        func original(_ position: SpecPosition) -> Int? {
            guard let offset = AliasCensus.offset(of: position, in: bytes),
                let step = steps.last(where: { $0.here <= offset })
            else { return nil }
            let next = steps.first { $0.here > offset }?.original ?? .max
            return min(step.original + offset - step.here, next)
        }
    }

    /// Lines and columns as libyaml counts them: characters, and every break that YAML 1.1 knows.
    private struct Walker {
        var line = 1
        var column = 1
        private var previous: Unicode.Scalar = " "

        mutating func pass(_ scalar: Unicode.Scalar) {
            switch scalar {
            case "\n" where previous == "\r": break
            case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}":
                line += 1
                column = 1
            default: column += 1
            }
            previous = scalar
        }
    }

    private static func offset(of position: SpecPosition, in bytes: [UInt8]) -> Int? {
        var walker = Walker()
        var offset = 0
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if walker.line == position.line, walker.column == position.column, scalar != "\n" || walker.column > 1 {
                return offset
            }
            walker.pass(scalar)
            offset += UTF8.width(scalar)
        }
        return walker.line == position.line && walker.column == position.column ? offset : nil
    }

    private static func position(of offset: Int, in bytes: [UInt8]) -> SpecPosition {
        var walker = Walker()
        for scalar in String(decoding: bytes[..<min(offset, bytes.count)], as: UTF8.self).unicodeScalars {
            walker.pass(scalar)
        }
        return SpecPosition(line: walker.line, column: walker.column)
    }

    // MARK: Weighing

    /// Counts values with every alias written out, in the order of the document, as the parser gives names.
    private struct Scale {
        private let census: AliasCensus
        private let limit: Int
        private let marker: String
        private var sizes: [String: Int] = [:]

        init(_ census: AliasCensus, _ limit: Int) {
            self.census = census
            self.limit = limit
            marker = String(decoding: census.marker, as: UTF8.self)
        }

        mutating func weigh(_ node: Node) throws(SpecIssue) -> Int {
            if let alias = alias(node) { return try size(of: alias) }
            var size = 1
            switch node {
            case .scalar, .alias: break
            case .sequence(let sequence):
                for element in sequence { size = try sum(size, try weigh(element), at: element) }
            case .mapping(let mapping):
                for (key, value) in mapping {
                    guard case .scalar = key, alias(key) == nil else {
                        throw SpecIssue(position(of: key), "a key must be text")
                    }
                    // A key may have an anchor, too.
                    size = try sum(size, try weigh(key), at: key)
                    size = try sum(size, try weigh(value), at: value)
                }
            }
            if let anchor = node.anchor { sizes[anchor.rawValue] = size }
            return size
        }

        /// No sum overflows: each is compared with the limit.
        private func sum(_ left: Int, _ right: Int, at node: Node) throws(SpecIssue) -> Int {
            guard left + right <= limit else {
                throw SpecIssue(
                    position(of: node),
                    "with its aliases (*name) written out, the specification has more than \(limit) values",
                )
            }
            return left + right
        }

        private func alias(_ node: Node) -> Int? {
            guard case .scalar(let scalar) = node, scalar.string.hasPrefix(marker) else { return nil }
            return Int(scalar.string.dropFirst(marker.count))
        }

        private func size(of alias: Int) throws(SpecIssue) -> Int {
            let (name, candidate) = census.names[alias]
            guard let size = sizes[name] else {
                throw SpecIssue(
                    census.position(of: candidate),
                    "the alias *\(name) stands for nothing: no &\(name) before it"
                )
            }
            return size
        }

        private func position(of node: Node) -> SpecPosition? {
            if let alias = alias(node) { return census.position(of: census.names[alias].candidate) }
            guard let mark = node.mark,
                let offset = Marked(census).original(SpecPosition(line: mark.line, column: mark.column))
            else { return nil }
            return AliasCensus.position(of: offset, in: census.bytes)
        }
    }
}
