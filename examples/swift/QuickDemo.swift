import VoidBox

/// Two boxes: an analyst, and a strategist who reads what the analyst wrote. As YAML: `../specs/quick-demo.yaml`.
enum QuickDemo {
    static let analyst = VoidBox("analyst")
        .skill(Examples.agent())
        .environment(
            "MOCK_CLAUDE_OUTPUT",
            "/workspace/findings.md=1. Code is untrusted. 2. Keys leak. 3. Machines are cheap.",
        )
        .prompt(
            "Analyze why isolation matters for agents that run code. Write three findings to /workspace/findings.md."
        )
        .outputFile("/workspace/findings.md")

    static let strategist = VoidBox("strategist")
        .skill(Examples.agent())
        .prompt("Your input has three findings. Say in one paragraph what to do first, and why.")

    static let pipeline = Pipeline.named("quick-demo", analyst)
        .pipe(strategist)
        .memory(.mebibytes(512))
        .llm(.scripted("examples/scripts/quickstart.yaml"))
}
