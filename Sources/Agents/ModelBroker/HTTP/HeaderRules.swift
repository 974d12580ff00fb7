internal import BoxHTTP
internal import HTTPTypes
internal import ModelProviders
internal import Primitives

/// Which fields cross the broker (RFC 9110 §7.6.1), and who says who asks.
enum HeaderRules {
    /// Of one hop only, or the broker's own business.
    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings",
    ]

    /// What the guest must not say for itself: who it is, how long its body is on the next hop, and what the answer may be
    /// compressed with, because compressed answers cannot be metered.
    private static let setByBroker: Set<String> = [
        "accept-encoding", "authorization", "content-length", "cookie", "expect", "forwarded", "host", "x-api-key",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    ]

    /// What Anthropic's endpoint wants beside the token of a login. The guest does not know that there is one.
    private static let loginBeta = "oauth-2025-04-20"

    /// The request's fields as the endpoint sees them: the real credential stands where the box's token was.
    static func request(_ fields: HTTPFields, credential: ModelCredential) -> HTTPFields {
        var result = passing(fields, dropping: setByBroker)
        result[.acceptEncoding] = "identity"
        switch credential {
        case .none: break
        case .apiKey(let key):
            result[.apiKey] = key.reveal()
        case .bearer(let key):
            result[.authorization] = "Bearer \(key.reveal())"
        case .apiKeyAndBearer(let key):
            result[.apiKey] = key.reveal()
            result[.authorization] = "Bearer \(key.reveal())"
        case .login(let token):
            result[.authorization] = "Bearer \(token.reveal())"
            let beta = result[values: .anthropicBeta] + [loginBeta]
            result[.anthropicBeta] = beta.joined(separator: ",")
        }
        return result
    }

    /// The response's fields as the guest sees them.
    static func response(_ fields: HTTPFields) -> HTTPFields {
        passing(fields, dropping: ["alt-svc", "set-cookie", "strict-transport-security"])
    }

    private static func passing(_ fields: HTTPFields, dropping dropped: Set<String>) -> HTTPFields {
        var nominated: Set<String> = []
        for value in fields[values: .connection] {
            for name in value.split(separator: ",") { nominated.insert(name.trimmingSpaces.lowercased()) }
        }
        var result = HTTPFields()
        for field in fields {
            let name = field.name.canonicalName
            if hopByHop.contains(name) || dropped.contains(name) || nominated.contains(name) { continue }
            result.append(field)
        }
        return result
    }
}

extension HTTPField.Name {
    static let anthropicBeta = HTTPField.Name(lowercase: "anthropic-beta")
    static let shouldRetry = HTTPField.Name(lowercase: "x-should-retry")
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var rest = self
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
        return rest
    }
}
