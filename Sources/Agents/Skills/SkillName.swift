/// The name of a skill, as the Agent Skills specification has it. It is the name of the skill's directory, too.
package struct SkillName: Hashable, Sendable, CustomStringConvertible {
    package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
        package let name: String

        package var description: String {
            "\"\(name)\" must be 1 to 64 of the characters a-z, 0-9 and -, without - at its ends and without --"
        }
    }

    package let description: String

    package init(_ text: String) throws(Violation) {
        let isValid =
            (1...64).contains(text.utf8.count) && text.utf8.allSatisfy(Self.isPart)
            && !text.hasPrefix("-") && !text.hasSuffix("-") && !text.utf8.elementsTwice(UInt8(ascii: "-"))
        guard isValid else { throw Violation(name: text) }
        description = text
    }

    private static func isPart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }
}

extension String.UTF8View {
    /// True where the element stands twice in a row.
    fileprivate func elementsTwice(_ element: UInt8) -> Bool {
        zip(self, dropFirst()).contains { $0 == element && $1 == element }
    }
}
