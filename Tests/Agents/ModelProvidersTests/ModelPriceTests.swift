internal import ModelProviders
internal import Testing

@Suite("Model price") struct ModelPriceTests {
    @Test(arguments: [
        ("claude-sonnet-4-5", 3.0, 15.0),
        ("claude-sonnet-4-5-20250929", 3.0, 15.0),
        ("claude-sonnet-4-20250514", 3.0, 15.0),
        ("claude-3-5-haiku-latest", 0.8, 4.0),
        ("claude-opus-4-1@20250805", 15.0, 75.0),
        ("claude-opus-4-6[1m]", 5.0, 25.0),
        ("Claude-Haiku-4-5", 1.0, 5.0),
    ])
    func `a model is known with and without its date`(_ model: String, _ input: Double, _ output: Double) throws {
        let price = try #require(ModelPrice(model: model))
        #expect(price.input == input)
        #expect(price.output == output)
    }

    @Test(arguments: [
        "", "claude", "claude-opus-9", "qwen3-coder:7b", "claude-sonnet-4-5-2025", "my-claude-sonnet-4-5",
    ])
    func `an unknown model has no price, rather than a price of zero`(_ model: String) {
        #expect(ModelPrice(model: model) == nil)
    }

    @Test func `a million tokens of each kind cost what the list says`() throws {
        let price = try #require(ModelPrice(model: "claude-sonnet-4-5"))
        #expect(price.cost(of: TokenCount(input: 1_000_000)) == 3)
        #expect(price.cost(of: TokenCount(output: 1_000_000)) == 15)
        #expect(price.cost(of: TokenCount(cacheWrite: 1_000_000)) == 3.75)
        #expect(price.cost(of: TokenCount(cacheWriteLong: 1_000_000)) == 6)
        #expect(abs(price.cost(of: TokenCount(cacheRead: 1_000_000)) - 0.3) < 1e-9)
    }

    @Test func `a long prompt costs more where the list says so`() throws {
        #expect(try #require(ModelPrice(model: "claude-haiku-5-5", promptTokens: 100_000)).input == 0.1)
        #expect(try #require(ModelPrice(model: "claude-haiku-5-5", promptTokens: 100_001)).input == 0.5)
    }
}

@Suite("Model usage") struct ModelUsageTests {
    @Test func `the cost of a run is the sum of its models`() throws {
        var usage = ModelUsage()
        #expect(usage.cost == 0)
        usage.models["a"] = ModelUsage.Model(responses: 1, tokens: TokenCount(input: 1, output: 2), cost: 0.25)
        usage.models["b"] = ModelUsage.Model(responses: 2, tokens: TokenCount(input: 10, cacheRead: 5), cost: 0.5)
        #expect(usage.cost == 0.75)
        #expect(usage.tokens == TokenCount(input: 11, output: 2, cacheRead: 5))
    }

    @Test func `one unknown part makes the cost unknown`() {
        var usage = ModelUsage()
        usage.models["a"] = ModelUsage.Model(responses: 1, cost: 0.25)
        usage.models["b"] = ModelUsage.Model(responses: 1, cost: nil)
        #expect(usage.cost == nil)
        usage.models["b"] = nil
        usage.unmetered = 1
        #expect(usage.cost == nil)
    }

    @Test func `a wild count saturates`() {
        var tokens = TokenCount(input: .max)
        tokens += TokenCount(input: 1, cacheRead: .max)
        #expect(tokens.input == .max)
        #expect(tokens.prompt == .max)
    }
}
