import VoidBox

/// Claude Code's own user interface in a fresh virtual machine, on this terminal. As YAML, for `voidbox shell`:
/// `../interactive.yaml`.
enum Interactive {
    static let box = VoidBox("interactive")
        .skill(.agent(.claudeCode))
        .memory(.gibibytes(2))
        .vcpus(2)
        .llm(.scripted("examples/scripts/interactive.yaml"))
}
