/// What a specification may ask for and this version does not do yet. Such a key is an error, never ignored.
extension Spec {
    /// Throws if running the specification would need something that is not built yet.
    package func checkCapabilities(file: String) throws(SpecError) {
        var issues: [SpecIssue] = []
        func missing(_ path: String, _ what: String, if condition: Bool = true) {
            if condition { issues.append(SpecIssue(positions[path], "\(what) is not built yet")) }
        }
        missing("sandbox.image", "sandbox.image (an OCI image as the root)", if: sandbox.image != nil)
        missing("sandbox.guest_image", "sandbox.guest_image", if: sandbox.guestImage?.isEmpty == false)
        missing("sandbox.snapshot", "sandbox.snapshot", if: sandbox.snapshot != nil)
        switch body {
        case .agent(let agent):
            missing("agent.messaging", "agent.messaging", if: agent.messaging != nil)
            checkSkills(agent.skills, "agent", &issues)
            checkAgent(agent.skills, llm, "llm", &issues)
        case .pipeline(let pipeline):
            for (index, box) in pipeline.boxes.enumerated() {
                let path = "pipeline.boxes[\(index)]"
                missing("\(path).sandbox.snapshot", "\(path).sandbox.snapshot", if: box.sandbox?.snapshot != nil)
                checkSkills(box.skills, path, &issues)
                checkAgent(box.skills, box.llm ?? llm, box.llm == nil ? "llm" : "\(path).llm", &issues)
            }
        case .workflow(let workflow):
            guard let agent = workflow.agent else { break }
            checkAgent([.agent(agent.rawValue)], llm, "llm", &issues)
        case .sandbox: break
        }
        if !issues.isEmpty { throw SpecError(file: file, issues: issues) }
    }

    /// An agent that speaks one API cannot use an endpoint that has only another.
    private func checkAgent(_ skills: [SkillSpec], _ llm: LLMSpec?, _ path: String, _ issues: inout [SpecIssue]) {
        let agent = skills.agent(for: llm?.provider)
        let provider = llm?.provider ?? .claude
        let isAnthropic = provider == .claude || provider == .claudePersonal
        guard agent.speaksOpenAI ? isAnthropic : provider == .codex else { return }
        let message = "the agent \(agent.rawValue) cannot use the provider \(provider.rawValue)"
        let hint = agent.speaksOpenAI ? "use llm.provider: codex, custom or scripted" : "use agent:codex"
        issues.append(SpecIssue(positions["\(path).provider"], "\(message); \(hint)"))
    }

    private func checkSkills(_ skills: [SkillSpec], _ path: String, _ issues: inout [SpecIssue]) {
        func report(_ message: String) { issues.append(SpecIssue(positions["\(path).skills"], message)) }
        for skill in skills {
            switch skill {
            case .image(let image, let mount, _):
                report(
                    "skill image \(image): it would need images of OCI registries, which are not built yet; "
                        + "mount a directory with its programs at \(mount) instead"
                )
            case .agent(let name) where AgentName(rawValue: name) == nil:
                let known = AgentName.allCases.map(\.rawValue)
                report("unknown agent \"\(name)\"\(Suggestion.text(for: name, among: known))")
            case .agent, .file, .cli, .inline, .mcp, .remote: continue
            }
        }
    }
}

/// The agents that can run in a box.
package enum AgentName: String, Sendable, CaseIterable {
    case claudeCode = "claude-code"
    case claudio
    case codex

    /// True where the agent comes with a disk of ours. Codex is the user's: its program is in a mounted directory.
    package var hasDisk: Bool { self != .codex }

    /// Whose API it speaks.
    package var speaksOpenAI: Bool { self == .codex }
}

extension [SkillSpec] {
    /// The agent that the skills name; where they name none, the one that the provider is for.
    package func agent(for provider: LLMSpec.Provider?) -> AgentName {
        for case .agent(let name) in self { return AgentName(rawValue: name) ?? .claudeCode }
        return provider == .codex ? .codex : .claudeCode
    }
}

extension AgentSpec {
    /// What a pipeline's box asks of its agent.
    package init(_ box: PipelineBoxSpec) {
        self.init()
        prompt = box.prompt
        skills = box.skills
        timeoutSeconds = box.timeoutSeconds
        outputFile = box.outputFile
        outputSchema = box.outputSchema
        outputRetries = box.outputRetries
    }
}
