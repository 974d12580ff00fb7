import VoidBox

/// An agent with a skill of somebody else's repository, at a tag: it is fetched once and then the same for ever. As YAML:
/// `../specs/remote-skills.yaml`.
enum RemoteSkills {
    static let box = VoidBox("remote-skills")
        .skill(Examples.agent())
        .skill(.remote("obra/superpowers/skills/brainstorming@v6.3.0"))
        .memory(.mebibytes(512))
        .llm(.scripted("examples/scripts/quickstart.yaml"))
        .prompt("Brainstorm three uses of disposable virtual machines, as your skill says.")
}
