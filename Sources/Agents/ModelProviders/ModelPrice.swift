/// What a model costs, in US dollars per million tokens.
///
/// As Claude Code 2.1.329 reckons: a cache entry for five minutes costs 1.25 times its input, for an hour twice, and
/// reading it a tenth unless the table says otherwise. Batches and fast modes, which no agent here uses, are not modelled.
package struct ModelPrice: Hashable, Sendable {
    package let input: Double
    package let output: Double
    package let cacheWrite: Double
    package let cacheWriteLong: Double
    package let cacheRead: Double

    package init(
        input: Double,
        output: Double,
        cacheWrite: Double,
        cacheWriteLong: Double,
        cacheRead: Double,
    ) {
        self.input = input
        self.output = output
        self.cacheWrite = cacheWrite
        self.cacheWriteLong = cacheWriteLong
        self.cacheRead = cacheRead
    }

    private init(_ input: Double, _ output: Double, cacheWrite: Double? = nil, cacheRead: Double? = nil) {
        self.init(
            input: input,
            output: output,
            cacheWrite: cacheWrite ?? input * 1.25,
            cacheWriteLong: input * 2,
            cacheRead: cacheRead ?? input * 0.1,
        )
    }

    /// The price of a model by its name, with or without a date; nil where it is not known, which is not the same as free.
    ///
    /// - Parameter promptTokens: of one request, with what came from the cache: some models charge more for long prompts.
    package init?(model: String, promptTokens: Int = 0) {
        let family = Self.family(of: model)
        if family == "claude-haiku-5-5" {
            self = promptTokens > Self.longPrompt ? Self.haiku55Long : Self.haiku55
        } else if let price = Self.known[family] {
            self = price
        } else {
            return nil
        }
    }

    package func cost(of tokens: TokenCount) -> Double {
        (Double(tokens.input) * input + Double(tokens.output) * output + Double(tokens.cacheWrite) * cacheWrite
            + Double(tokens.cacheWriteLong) * cacheWriteLong + Double(tokens.cacheRead) * cacheRead) / 1_000_000
    }

    private static let known: [String: ModelPrice] = [
        "claude-3-haiku": ModelPrice(0.25, 1.25, cacheWrite: 0.30, cacheRead: 0.03),
        "claude-3-opus": ModelPrice(15, 75),
        "claude-3-5-haiku": ModelPrice(0.80, 4),
        "claude-3-5-sonnet": ModelPrice(3, 15),
        "claude-3-7-sonnet": ModelPrice(3, 15),
        "claude-fable-5": ModelPrice(10, 50),
        "claude-fable-5-1": ModelPrice(10, 50, cacheRead: 0.25),
        "claude-fable-5-2": ModelPrice(8, 40, cacheRead: 0.20),
        "claude-haiku-4-5": ModelPrice(1, 5),
        "claude-opus-4": ModelPrice(15, 75),
        "claude-opus-4-0": ModelPrice(15, 75),
        "claude-opus-4-1": ModelPrice(15, 75),
        "claude-opus-4-5": ModelPrice(5, 25),
        "claude-opus-4-6": ModelPrice(5, 25),
        "claude-opus-4-7": ModelPrice(5, 25),
        "claude-opus-4-8": ModelPrice(5, 25),
        "claude-opus-5": ModelPrice(5, 25),
        "claude-opus-5-5": ModelPrice(4, 20, cacheRead: 0.20),
        "claude-sonnet-4": ModelPrice(3, 15),
        "claude-sonnet-4-0": ModelPrice(3, 15),
        "claude-sonnet-4-5": ModelPrice(3, 15),
        "claude-sonnet-4-6": ModelPrice(3, 15),
        "claude-sonnet-5": ModelPrice(2, 10),
        "claude-sonnet-5-5": ModelPrice(2, 10, cacheRead: 0.10),
    ]

    /// `claude-haiku-5-5` costs five times as much where the prompt is longer than this.
    private static let longPrompt = 100_000
    private static let haiku55 = ModelPrice(0.10, 0.50)
    private static let haiku55Long = ModelPrice(0.50, 2.50)

    /// `claude-sonnet-4-5-20250929`, `claude-sonnet-4-5-latest` and `claude-sonnet-4-5[1m]` are one family.
    private static func family(of model: String) -> String {
        var name = Substring(model.lowercased())
        if let bracket = name.firstIndex(of: "[") { name = name[..<bracket] }
        if name.hasSuffix("-latest") { name.removeLast("-latest".count) }
        if let dash = name.lastIndex(where: { $0 == "-" || $0 == "@" }) {
            let suffix = name[name.index(after: dash)...]
            if suffix.utf8.count == 8, suffix.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { name = name[..<dash] }
        }
        return String(name)
    }
}
