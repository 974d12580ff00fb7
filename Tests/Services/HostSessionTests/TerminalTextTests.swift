import Foundation
import Testing

@testable import HostSession

@Suite("Terminal text") struct TerminalTextTests {
    @Test(arguments: [
        ("plain\ttext\nand é 漢 👍", "plain\ttext\nand é 漢 👍"),
        ("\u{1B}[2J", "\\u{1B}[2J"),
        ("title\u{1B}]0;x\u{7}", "title\\u{1B}]0;x\\u{7}"),
        ("over\rwritten\r\n", "over\\u{D}written\\u{D}\n"),
        ("\u{0}\u{8}\u{7F}", "\\u{0}\\u{8}\\u{7F}"),
        ("\u{9B}2J \u{85}", "\\u{9B}2J \\u{85}"),
        ("\u{202E}evil\u{2066}\u{2069}", "\\u{202E}evil\\u{2066}\\u{2069}"),
    ])
    func `what steers a terminal becomes visible`(_ text: String, _ shown: String) {
        #expect(TerminalText.safe(text) == shown)
    }

    @Test func `a line is one line`() {
        #expect(TerminalText.line("a\nb\tc\u{1B}") == "a b c\\u{1B}")
        #expect(TerminalText.line(String(repeating: "x", count: 5000)).count == 1000)
    }

    @Test func `JSON stays JSON and means the same`() throws {
        let text = "a\u{9B}b\u{7F}c\u{202E}d"
        let encoded = TerminalText.safeJSON(String(decoding: try JSONEncoder().encode([text]), as: UTF8.self))
        #expect(encoded.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 0x20 && $0.value < 0x7F })
        #expect(try JSONDecoder().decode([String].self, from: Data(encoded.utf8)) == [text])
    }
}
