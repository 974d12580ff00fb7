internal import FoundationEssentials

/// The base address of a model endpoint: scheme, host, port and perhaps a path prefix. Holds no secrets, so it may be
/// printed.
package struct EndpointURL: Hashable, Sendable, CustomStringConvertible {
    /// Without a slash at the end and without `/v1`.
    package let description: String
    /// What the `Host` header says.
    package let authority: String
    /// False for plain http, which anyone on the way can read.
    package let isEncrypted: Bool
    /// Whether the address never leaves this machine.
    package let isLoopback: Bool

    /// Takes the address with or without `/v1`: the two kinds of clients write it differently.
    package init(_ text: String) throws(ModelProviderError) {
        guard !text.contains(where: { $0.isWhitespace || $0.isNewline }), let parts = URLComponents(string: text) else {
            throw .invalidURL(text, reason: "is not a URL")
        }
        // An address with a password must not be repeated in a message.
        if parts.user != nil || parts.password != nil {
            throw .invalidURL(parts.host ?? "", reason: "carries a user or password, which belongs in llm.api_key_env")
        }
        guard let scheme = parts.scheme?.lowercased(), scheme == "http" || scheme == "https" else {
            throw .invalidURL(text, reason: "has no scheme http or https")
        }
        guard let host = parts.percentEncodedHost?.lowercased(), !host.isEmpty else {
            throw .invalidURL(text, reason: "names no host")
        }
        if parts.query != nil || parts.fragment != nil {
            throw .invalidURL(text, reason: "has a query or fragment")
        }
        if let port = parts.port, !(1...65535).contains(port) {
            throw .invalidURL(text, reason: "has no valid port")
        }
        var path = Substring(parts.percentEncodedPath)
        while path.hasSuffix("/") { path.removeLast() }
        if path.hasSuffix("/v1") { path.removeLast(3) }
        while path.hasSuffix("/") { path.removeLast() }
        isEncrypted = scheme == "https"
        isLoopback = Self.isLoopback(host)
        authority = parts.port.map { "\(host):\($0)" } ?? host
        description = "\(scheme)://\(authority)\(path)"
    }

    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        let isAddress = numbers.count == 4 && numbers.allSatisfy { UInt8($0) != nil }
        return host == "localhost" || host == "[::1]" || isAddress && numbers[0] == "127"
    }
}
