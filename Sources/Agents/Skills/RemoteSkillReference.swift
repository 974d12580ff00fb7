/// A skill in a repository at one commit: `owner/repo/path@COMMIT` or `@TAG`.
package struct RemoteSkillReference: Hashable, Sendable, CustomStringConvertible {
    package enum Pin: Hashable, Sendable {
        /// 40 hexadecimal digits in lower case.
        case commit(String)
        case tag(String)
    }

    package struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    package let owner: String
    package let repository: String
    /// Components of the skill's directory; empty for the repository itself.
    package let path: [String]
    package let pin: Pin

    package init(_ text: String) throws(Malformed) {
        func malformed(_ why: String) -> Malformed {
            Malformed(description: "remote:\(text) \(why); write remote:owner/repo/path@COMMIT or @TAG")
        }
        guard let at = text.firstIndex(of: "@") else { throw malformed("is not pinned") }
        let reference = String(text[text.index(after: at)...])
        let parts = text[..<at].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 2 else { throw malformed("names no repository") }
        guard parts.allSatisfy(Self.isComponent) else { throw malformed("has a part that is no name") }
        guard !reference.isEmpty,
            reference.split(separator: "/", omittingEmptySubsequences: false)
                .map(String.init).allSatisfy(Self.isComponent)
        else { throw malformed("has no commit or tag behind the @") }
        owner = parts[0]
        repository = parts[1]
        path = Array(parts[2...])
        pin = Self.isCommit(reference) ? .commit(reference) : .tag(reference)
        guard (try? SkillName(name)) != nil else {
            throw malformed("would have the name \"\(name)\", which a skill cannot have")
        }
    }

    /// What the skill must be called.
    package var name: String { path.last ?? repository.lowercased() }

    package var description: String {
        let pin =
            switch pin {
            case .commit(let name), .tag(let name): name
            }
        return "\(([owner, repository] + path).joined(separator: "/"))@\(pin)"
    }

    /// It goes into a path of a URL as it is.
    private static func isComponent(_ text: String) -> Bool {
        !text.isEmpty && text != "." && text != ".." && text.utf8.count <= 255
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    package static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }
}
