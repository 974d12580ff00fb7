internal import JSONCoding
internal import Primitives

/// Whose API a client speaks, and so which errors it understands.
enum ModelDialect: Hashable {
    case anthropic, openAI

    /// The body of an error answer.
    func errorBody(status: Int, type: String? = nil, message: String) -> [UInt8] {
        let type = type ?? Self.errorType(for: status)
        let error: JSONValue =
            switch self {
            case .anthropic:
                .object([
                    "type": .string("error"),
                    "error": .object(["type": .string(type), "message": .string(message)]),
                ])
            case .openAI:
                .object([
                    "error": .object([
                        "message": .string(message), "type": .string(type), "param": .null,
                        "code": .integer(Int64(status)),
                    ])
                ])
            }
        return error.encoded
    }

    /// Anthropic's names, which both dialects use here.
    static func errorType(for status: Int) -> String {
        switch status {
        case 400, 405: "invalid_request_error"
        case 401: "authentication_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 504: "timeout_error"
        case 529: "overloaded_error"
        default: "api_error"
        }
    }
}
