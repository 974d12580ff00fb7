import VoidBox

/// Claude Code with models of your own, on this host. The boxes need no network: their model calls go through the host's
/// broker. As YAML: `../ollama.yaml` and `../specs/lm-studio.yaml`.
enum LocalModels {
    private static func box(_ name: String) -> VoidBox {
        VoidBox(name)
            .skill(.agent(.claudeCode))
            .memory(.gibibytes(2))
            .vcpus(2)
            .prompt("List the prime numbers below 50 in /workspace/primes.txt, one on each line.")
            .outputFile("/workspace/primes.txt")
            .timeout(.seconds(1200))
    }

    static let ollama = box("local-model").llm(.ollama("qwen3-coder:7b"))
    static let lmStudio = box("lm-studio").llm(.lmStudio("qwen/qwen3-coder-30b"))
}
