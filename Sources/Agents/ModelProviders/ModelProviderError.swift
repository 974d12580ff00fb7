/// Why a model cannot be used as the spec says. Never carries a key.
package enum ModelProviderError: Error, Hashable, CustomStringConvertible {
    case unknownProvider(String, known: [String])
    case missingBaseURL(provider: String)
    case invalidURL(String, reason: String)
    case missingKey(variable: String, provider: String)
    case malformedKey(variable: String)
    case noLogin(path: String, reason: String)
    case expiredLogin(path: String)
    case missingScript
    case emptyModel
    case notForProvider(key: String, provider: String)

    package var description: String {
        switch self {
        case .unknownProvider(let word, let known):
            "unknown model provider \"\(word)\"; known are \(known.joined(separator: ", "))"
        case .missingBaseURL(let provider):
            "model provider \"\(provider)\" needs llm.base_url, the endpoint's address"
        case .invalidURL(let url, let reason):
            "llm.base_url \"\(url)\" \(reason); expected for instance https://models.example.com"
        case .missingKey(let variable, let provider):
            "model provider \"\(provider)\" needs a key, but the variable \(variable) is not set; "
                + "set it, or name another one in llm.api_key_env"
        case .malformedKey(let variable):
            "the key in the variable \(variable) has characters that no key has, such as a space or a line end"
        case .noLogin(let path, let reason):
            "model provider \"claude-personal\" needs a login of Claude Code on this host, but \(path) has none: \(reason); "
                + "run: claude, and there /login; or set CLAUDE_CODE_OAUTH_TOKEN (from: claude setup-token)"
        case .expiredLogin(let path):
            "the login in \(path) has expired; run claude once on this host, which renews it"
        case .missingScript:
            "model provider \"scripted\" needs llm.script, the path of a file with its turns"
        case .emptyModel:
            "llm.model is empty; leave it out to use the agent's own choice"
        case .notForProvider(let key, let provider):
            "llm.\(key) means nothing to model provider \"\(provider)\"; remove it"
        }
    }
}
