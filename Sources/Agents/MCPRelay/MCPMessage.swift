internal import JSONCoding
internal import Primitives

/// One message of the Model Context Protocol: a JSON-RPC 2.0 object. Whatever else somebody sends is none.
package struct MCPMessage: Hashable, Sendable {
    /// A result may carry a file.
    package static let maxBytes = 16 << 20

    package enum ID: Hashable, Sendable {
        case text(String)
        case number(Int64)
    }

    package enum Kind: Hashable, Sendable {
        case request(ID, method: String)
        case notification(method: String)
        case response(ID)
    }

    package struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    package let kind: Kind
    /// As it came, on one line.
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) throws(Malformed) {
        guard bytes.count <= Self.maxBytes else {
            throw Malformed(description: "the message is larger than \(Self.maxBytes >> 20) MiB")
        }
        guard let value = try? JSONValue(decoding: bytes) else { throw Malformed(description: "it is not JSON") }
        guard value["jsonrpc"]?.stringValue == "2.0" else {
            throw Malformed(description: "it is no JSON-RPC 2.0 message (batches are not part of MCP)")
        }
        let id: ID?
        switch value["id"] {
        case .string(let text)?: id = .text(text)
        case .integer(let number)?: id = .number(number)
        case nil, .null?: id = nil
        default: throw Malformed(description: "its id is neither text nor a whole number")
        }
        switch (value["method"], id) {
        case (.string(let method)?, let id?): kind = .request(id, method: method)
        case (.string(let method)?, nil): kind = .notification(method: method)
        case (nil, let id?) where value["result"] != nil || value["error"] != nil: kind = .response(id)
        default: throw Malformed(description: "it is neither a request, a notification nor a response")
        }
        // Text of JSON has ends of lines only between tokens, where a space means the same.
        self.bytes = bytes.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
    }

    package var isInitialize: Bool {
        if case .request(_, "initialize") = kind { return true }
        return false
    }

    /// A response that says that a request could not be carried out.
    package static func error(_ id: ID?, code: Int64, _ message: String) -> [UInt8] {
        let value: JSONValue =
            switch id {
            case .text(let text)?: .string(text)
            case .number(let number)?: .integer(number)
            case nil: .null
            }
        let error: JSONValue = .object(["code": .integer(code), "message": .string(message)])
        return JSONValue.object(["jsonrpc": "2.0", "id": value, "error": error]).encoded
    }
}
