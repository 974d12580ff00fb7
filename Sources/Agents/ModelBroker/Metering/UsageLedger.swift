internal import ModelProviders
internal import Synchronization

/// Where all responses are written down. Any thread; guarded by `state`.
final class UsageLedger: Sendable {
    private let provider: ModelProvider
    private let state = Mutex(ModelUsage())

    /// A run asks a handful of models. A guest that makes up names, at an endpoint that repeats them, must not fill memory.
    private static let maxModels = 64

    init(_ provider: ModelProvider) {
        self.provider = provider
    }

    var usage: ModelUsage { state.withLock { $0 } }

    func requestPassed() {
        state.withLock { $0.requests += 1 }
    }

    func refused(_ reason: ModelRefusal) {
        state.withLock { $0.refusals[reason, default: 0] += 1 }
    }

    /// - Returns: Whether it is the first one.
    func failed(_ failure: ModelFailure) -> Bool {
        state.withLock { usage in
            usage.failures += 1
            usage.lastFailure = failure
            return usage.failures == 1
        }
    }

    /// - Parameter mustHaveTokens: the response is an answer of a model, so it costs something.
    func metered(_ reading: UsageReading, mustHaveTokens: Bool) {
        guard reading.hasTokens else {
            if mustHaveTokens { state.withLock { $0.unmetered += 1 } }
            return
        }
        let name = reading.model ?? "unknown"
        let cost = provider.cost(of: reading.tokens, model: name)
        state.withLock { usage in
            let key = usage.models[name] != nil || usage.models.count < Self.maxModels ? name : "others"
            var model = usage.models[key] ?? ModelUsage.Model(cost: 0)
            model.responses += 1
            model.tokens += reading.tokens
            model.cost = model.cost.flatMap { sum in cost.map { sum + $0 } }
            usage.models[key] = model
        }
    }
}
