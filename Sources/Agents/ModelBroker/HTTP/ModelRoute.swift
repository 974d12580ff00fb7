internal import HTTPTypes

/// What a guest may ask of its model's endpoint. Everything else is refused before it reaches the network.
enum ModelRoute: Hashable {
    /// Anthropic's Messages API.
    case messages
    case countTokens
    /// OpenAI's Chat Completions API.
    case chatCompletions
    /// OpenAI's Responses API.
    case responses
    case models
    /// Agents ask for the root to see whether anybody is there; the broker answers itself.
    case root

    enum Refusal: Error, Hashable {
        case unknownPath
        case methodNotAllowed(allowed: String)
    }

    /// - Parameter target: the request's target as it came, with its query. It is compared byte for byte: an encoded,
    ///   doubled or dotted path is none of ours.
    init(method: HTTPRequest.Method, target: String) throws(Refusal) {
        let path = target.prefix { $0 != "?" }
        let route: Self
        switch path {
        case "/": route = .root
        case "/v1/messages": route = .messages
        case "/v1/messages/count_tokens": route = .countTokens
        case "/v1/chat/completions": route = .chatCompletions
        case "/v1/responses": route = .responses
        case "/v1/models": route = .models
        default:
            guard Self.isModelPath(path) else { throw .unknownPath }
            route = .models
        }
        guard route.methods.contains(method) else {
            throw .methodNotAllowed(allowed: route.methods.map(\.rawValue).joined(separator: ", "))
        }
        self = route
    }

    private var methods: [HTTPRequest.Method] {
        switch self {
        case .root: [.head, .get]
        case .models: [.get]
        case .messages, .countTokens, .chatCompletions, .responses: [.post]
        }
    }

    /// How errors are written down for whoever asks here.
    var dialect: ModelDialect {
        self == .chatCompletions || self == .responses ? .openAI : .anthropic
    }

    /// `/v1/models/{id}`
    private static func isModelPath(_ path: Substring) -> Bool {
        let prefix = "/v1/models/"
        guard path.hasPrefix(prefix) else { return false }
        let id = path.dropFirst(prefix.count)
        return !id.isEmpty && id.utf8.count <= 128 && !id.contains("..")
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: ":"):
                    true
                default: false
                }
            }
    }
}
