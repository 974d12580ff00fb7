/// What a run asked of its models.
package struct ModelUsage: Hashable, Sendable {
    package struct Model: Hashable, Sendable {
        package var responses = 0
        package var tokens = TokenCount()
        /// US dollars; nil where the price of the model is not known.
        package var cost: Double?

        package init(responses: Int = 0, tokens: TokenCount = TokenCount(), cost: Double? = nil) {
            self.responses = responses
            self.tokens = tokens
            self.cost = cost
        }
    }

    /// Requests that were sent on to the model's endpoint.
    package var requests = 0
    /// Requests that the broker refused: wrong token, path not allowed, body too big.
    package var refusals: [ModelRefusal: Int] = [:]
    /// Requests that the endpoint refused, could not be reached for, or cut.
    package var failures = 0
    /// The last of them, for the run's report.
    package var lastFailure: ModelFailure?
    /// Responses whose tokens could not be read.
    package var unmetered = 0
    /// By the model's name as the endpoint gives it.
    package var models: [String: Model] = [:]

    package init() {}

    /// Of all models together.
    package var tokens: TokenCount {
        models.values.reduce(into: TokenCount()) { $0 += $1.tokens }
    }

    /// US dollars; nil as soon as one part of it is not known, rather than a sum that is too small.
    package var cost: Double? {
        guard unmetered == 0 else { return nil }
        var sum = 0.0
        for model in models.values {
            guard let cost = model.cost else { return nil }
            sum += cost
        }
        return sum
    }
}

/// Why the broker did not pass a request on.
package enum ModelRefusal: String, Hashable, Sendable, CaseIterable {
    case token, path, bodyTooBig = "body-too-big", tooManyConnections = "too-many-connections"
}

/// A call to a model that did not end well.
package struct ModelFailure: Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// An HTTP status of 400 or above, and the endpoint's own words, shortened.
        case status(Int, message: String)
        case unreachable(String)
        /// An error that the endpoint reported after it had begun to answer.
        case streamError(message: String)
        /// No byte for this long.
        case timedOut(Duration)
        /// The response broke off after so many bytes of its body.
        case cut(afterBytes: Int)
    }

    /// The endpoint's address, or the script's name.
    package let endpoint: String
    package let reason: Reason

    package init(endpoint: String, reason: Reason) {
        self.endpoint = endpoint
        self.reason = reason
    }

    package var description: String {
        switch reason {
        case .status(let status, let message):
            "model endpoint \(endpoint) answered \(status)" + (message.isEmpty ? "" : ": \(message)")
        case .streamError(let message):
            "model endpoint \(endpoint) broke off its answer: \(message)"
        case .unreachable(let why):
            "model endpoint \(endpoint) cannot be reached: \(why)"
        case .timedOut(let limit):
            "model endpoint \(endpoint) sent nothing for \(limit)"
        case .cut(let bytes):
            "model endpoint \(endpoint) cut the stream after \(bytes) bytes"
        }
    }
}
