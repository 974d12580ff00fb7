internal import FoundationEssentials
internal import ModelProviders

/// What one response says about itself.
struct UsageReading: Hashable {
    var model: String?
    var tokens = TokenCount()
    /// The response said something about tokens.
    var hasTokens = false
    /// The words of an error that came in the middle of a stream.
    var errorMessage: String?

    /// Takes in a JSON document: a whole response, or one event of a stream. Counts in a stream are totals so far, so a
    /// later one replaces an earlier one.
    mutating func take(json: some Sequence<UInt8>) {
        // A document that is none, or is shaped differently, has nothing to say about tokens.
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(json)) else { return }
        let inner = document.message?.value ?? document.response?.value
        if let name = inner?.model ?? document.model, !name.isEmpty { model = name }
        if let message = (document.error ?? inner?.error)?.value?.message { errorMessage = message }
        guard let usage = inner?.usage?.value ?? document.usage?.value else { return }
        if let details = usage.input_tokens_details {
            // Of the Responses API: cached tokens are a part of the input.
            let cached = details.value?.cached_tokens ?? 0
            replace(\.input, usage.input_tokens.map { $0 - min(cached, $0) })
            replace(\.cacheRead, cached)
            replace(\.output, usage.output_tokens)
            return
        }
        if usage.isOpenAI {
            let cached = usage.prompt_tokens_details?.value?.cached_tokens ?? 0
            replace(\.input, usage.prompt_tokens.map { $0 - min(cached, $0) })
            replace(\.cacheRead, usage.prompt_tokens_details?.value?.cached_tokens)
            replace(\.output, usage.completion_tokens)
            return
        }
        replace(\.input, usage.input_tokens)
        replace(\.output, usage.output_tokens)
        replace(\.cacheRead, usage.cache_read_input_tokens)
        if let parts = usage.cache_creation?.value,
            parts.ephemeral_5m_input_tokens != nil || parts.ephemeral_1h_input_tokens != nil
        {
            replace(\.cacheWrite, parts.ephemeral_5m_input_tokens ?? 0)
            replace(\.cacheWriteLong, parts.ephemeral_1h_input_tokens ?? 0)
        } else if tokens.cacheWriteLong == 0 {
            replace(\.cacheWrite, usage.cache_creation_input_tokens)
        }
    }

    private mutating func replace(_ count: WritableKeyPath<TokenCount, Int>, _ value: Int?) {
        guard let value else { return }
        hasTokens = true
        tokens[keyPath: count] = max(value, 0)
    }

    /// Names as on the wire, of both dialects.
    private struct Document: Decodable {
        var model: String?
        var message: Lenient<Message>?
        /// Of an event of the Responses API.
        var response: Lenient<Message>?
        var usage: Lenient<Usage>?
        var error: Lenient<ErrorBody>?
    }

    private struct Message: Decodable {
        var model: String?
        var usage: Lenient<Usage>?
        var error: Lenient<ErrorBody>?
    }

    private struct ErrorBody: Decodable {
        var message: String?
    }

    private struct Usage: Decodable {
        var input_tokens: Int?
        var output_tokens: Int?
        var cache_creation_input_tokens: Int?
        var cache_read_input_tokens: Int?
        var cache_creation: Lenient<CacheCreation>?
        var input_tokens_details: Lenient<PromptDetails>?
        var prompt_tokens: Int?
        var completion_tokens: Int?
        var prompt_tokens_details: Lenient<PromptDetails>?

        var isOpenAI: Bool { prompt_tokens != nil || completion_tokens != nil }
    }

    private struct CacheCreation: Decodable {
        var ephemeral_5m_input_tokens: Int?
        var ephemeral_1h_input_tokens: Int?
    }

    private struct PromptDetails: Decodable {
        var cached_tokens: Int?
    }

    /// A part that is shaped unexpectedly must not hide the others.
    private struct Lenient<Value: Decodable>: Decodable {
        var value: Value?

        init(from decoder: any Decoder) throws {
            value = try? Value(from: decoder)
        }
    }
}
