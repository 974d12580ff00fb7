internal import Foundation
internal import Yams

/// A YAML or JSON document as a tree with positions, from bytes that nobody has looked at yet.
enum SpecDocument {
    /// A prompt of many pages fits; a file beyond it is no specification.
    static let maxBytes = 2 << 20
    /// Nodes that a document may have once its aliases are written out.
    static let maxNodes = 100_000

    static func parse(_ bytes: [UInt8], file: String) throws(SpecError) -> Node {
        func fail(_ message: String, _ position: SpecPosition? = nil) -> SpecError {
            SpecError(file: file, issues: [SpecIssue(position, message)])
        }
        guard bytes.count <= maxBytes else {
            throw fail("the specification is \(bytes.count) bytes; the limit is \(maxBytes)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw fail("the file is not UTF-8 text") }
        guard !text.utf8.contains(0) else { throw fail("the file contains a NUL byte") }
        guard text.contains(where: { !$0.isWhitespace }) else { throw fail("the file is empty") }
        let expansion = worstExpansion(text)
        guard expansion <= Double(maxNodes) else {
            throw fail("its aliases (*name) could expand to more than \(maxNodes) values; write the values out")
        }
        let root: Node?
        do {
            root = try Parser(yaml: text).singleRoot()
        } catch {
            let (message, position) = describe(error)
            throw fail(message, position)
        }
        guard let root else { throw fail("the file is empty") }
        return root
    }

    /// The most values that anchors and aliases can multiply to: the aliases spread evenly over a chain of all anchors.
    /// Counted before parsing, because comparing keys already walks what an alias stands for. A word in a prompt that looks
    /// like one only makes the bound larger.
    private static func worstExpansion(_ text: String) -> Double {
        var anchors = 0.0
        var aliases = 0.0
        var previous = UInt8(ascii: "\n")
        for byte in text.utf8 {
            let startsWord = " \t\n\r[{,:-?".utf8.contains(previous)
            if startsWord, byte == UInt8(ascii: "&") { anchors += 1 }
            if startsWord, byte == UInt8(ascii: "*") { aliases += 1 }
            previous = byte
        }
        if anchors == 0 || aliases <= anchors { return aliases }
        return pow(aliases / anchors + 1, min(anchors, aliases))
    }

    private static func describe(_ error: any Error) -> (String, SpecPosition?) {
        func position(_ mark: Mark) -> SpecPosition { SpecPosition(line: mark.line, column: mark.column) }
        guard let error = error as? YamlError else { return ("cannot be parsed: \(error)", nil) }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ("invalid YAML: \(problem)", position(mark))
        case .duplicatedKeysInMapping(let keys, let context):
            return ("duplicate key \"\(keys.joined(separator: "\", \""))\"", position(context.mark))
        case .reader(let problem, _, _, _): return ("invalid YAML: \(problem)", nil)
        default: return ("invalid YAML", nil)
        }
    }
}
