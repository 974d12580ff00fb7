internal import JSONCoding
internal import LinuxSystem
package import Primitives

/// The login of Claude Code on this host: the OAuth token of a subscription. It stays on the host, like any key.
package struct ClaudeLogin: Sendable {
    package let token: Secret<String>

    /// A file of this size is no login.
    private static let limit = 1 << 20

    /// Looks where Claude Code looks: `CLAUDE_CODE_OAUTH_TOKEN` (as `claude setup-token` makes one), else the file of
    /// `claude` and its `/login`.
    package init(environment: [String: String]) throws(ModelProviderError) {
        if let token = environment["CLAUDE_CODE_OAUTH_TOKEN"], !token.isEmpty {
            guard token.isHeaderValue else { throw .malformedKey(variable: "CLAUDE_CODE_OAUTH_TOKEN") }
            self.init(token)
            return
        }
        let directory = environment["CLAUDE_CONFIG_DIR"] ?? (environment["HOME"] ?? "") + "/.claude"
        let path = directory + "/.credentials.json"
        let bytes: [UInt8]
        do {
            bytes = try OwnedFD.open(path, OwnedFD.readOnly).readAll(limit: Self.limit)
        } catch {
            throw .noLogin(path: path, reason: "\(error.errno)")
        }
        try self.init(file: bytes, path: path, now: HostFacts.unixNanoseconds)
    }

    /// - Parameter now: Nanoseconds since 1970.
    init(file bytes: [UInt8], path: String, now: Int64) throws(ModelProviderError) {
        guard let login = (try? JSONValue(decoding: bytes))?["claudeAiOauth"] else {
            throw .noLogin(path: path, reason: "it has no claudeAiOauth")
        }
        guard let token = login["accessToken"]?.stringValue, !token.isEmpty, token.isHeaderValue else {
            throw .noLogin(path: path, reason: "claudeAiOauth has no accessToken")
        }
        // Milliseconds since 1970.
        if let end = login["expiresAt"]?.integerValue, end <= now / 1_000_000 { throw .expiredLogin(path: path) }
        self.init(token)
    }

    private init(_ token: String) {
        self.token = Secret(token)
    }
}

extension String {
    /// A key travels in a header; anything else would break out of it.
    var isHeaderValue: Bool { utf8.allSatisfy { (0x21...0x7E).contains($0) } }
}
