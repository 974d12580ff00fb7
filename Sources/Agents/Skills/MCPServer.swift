/// A server of the Model Context Protocol that an agent gets tools from.
package struct MCPServer: Hashable, Sendable {
    package enum Transport: Hashable, Sendable {
        /// A program that speaks on its stdin and stdout.
        case stdio(command: String, args: [String], env: [String: String])
        /// An address of the transport "Streamable HTTP".
        case http(url: String, headers: [String: String])
    }

    /// Where the server runs, or is reached from.
    package enum Place: String, Sendable, CaseIterable {
        case guest, host
    }

    package var name: String
    package var transport: Transport
    package var place: Place

    package init(name: String, transport: Transport, place: Place = .guest) {
        self.name = name
        self.transport = transport
        self.place = place
    }

    /// It becomes a part of the names of tools, `mcp__NAME__TOOL`, and a key of the agents' configurations.
    package static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// What a server is called that is not given a name: its program without directory and ending.
    package static func name(forCommand command: String) -> String {
        let file = command.split(separator: "/").last ?? ""
        let stem = file.lastIndex(of: ".").map { file[..<$0] } ?? file
        let name = String(stem.unicodeScalars.map { isName(String($0)) ? Character($0) : "-" })
        return String(name.prefix(64))
    }
}
