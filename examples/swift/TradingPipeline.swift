import VoidBox

/// Four boxes, one after another, each with a skill of its own; each reads what the one before has come to. As YAML:
/// `../specs/trading.yaml`. No financial advice.
enum TradingPipeline {
    private static func analyst(_ name: String, _ skill: String?) -> VoidBox {
        let box = VoidBox(name).skill(Examples.agent()).timeout(.seconds(600))
        guard let skill else { return box }
        return box.skill(.file("examples/skills/\(skill).md"))
    }

    static let data = analyst("data", "market-data")
        .prompt(
            "Get a year of daily prices of AAPL, NVDA and TSLA as your skill says, and write them to "
                + "/workspace/output/prices.json."
        )
        .environment("MOCK_CLAUDE_OUTPUT", #"/workspace/output/prices.json=[{"symbol": "NVDA", "days": []}]"#)
        .outputFile("/workspace/output/prices.json")
        .output("prices")

    static let quant = analyst("quant", "technical-analysis")
        .prompt("Derive a signal for each symbol from /workspace/input/prices.json.")
        .input("prices")

    static let sentiment = analyst("sentiment", nil)
        .prompt("Judge the mood of the market for the symbols in your input, and add it to their signals.")

    static let strategy = analyst("strategy", "risk-management")
        .prompt(
            "Recommend what to buy and to sell from the signals in your input, within the limits of your skill."
        )

    static let pipeline = Pipeline.named("trading", data)
        .pipe(quant)
        .pipe(sentiment)
        .pipe(strategy)
        .memory(.mebibytes(512))
        .llm(.scripted("examples/scripts/quickstart.yaml"))
}
