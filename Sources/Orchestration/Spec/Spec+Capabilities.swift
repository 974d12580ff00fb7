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
        missing("observe", "observe (telemetry export)", if: observe != nil)
        checkProvider(llm, "llm", &issues)
        switch body {
        case .agent(let agent):
            missing("agent.mode", "agent.mode: \(agent.mode.rawValue)", if: agent.mode != .task)
            missing("agent.messaging", "agent.messaging", if: agent.messaging != nil)
            checkSkills(agent.skills, "agent", &issues)
        case .pipeline(let pipeline):
            for (index, box) in pipeline.boxes.enumerated() {
                let path = "pipeline.boxes[\(index)]"
                missing("\(path).sandbox.snapshot", "\(path).sandbox.snapshot", if: box.sandbox?.snapshot != nil)
                checkProvider(box.llm, "\(path).llm", &issues)
                checkSkills(box.skills, path, &issues)
            }
        case .workflow: break
        case .sandbox: break
        }
        if !issues.isEmpty { throw SpecError(file: file, issues: issues) }
    }

    private func checkProvider(_ llm: LLMSpec?, _ path: String, _ issues: inout [SpecIssue]) {
        switch llm?.provider {
        case .codex, .claudePersonal:
            issues.append(
                SpecIssue(
                    positions["\(path).provider"],
                    "\(path).provider: \(llm?.provider.rawValue ?? "") is not built yet"
                )
            )
        case .claude, .ollama, .lmStudio, .custom, .scripted, nil: break
        }
    }

    private func checkSkills(_ skills: [SkillSpec], _ path: String, _ issues: inout [SpecIssue]) {
        func report(_ message: String) { issues.append(SpecIssue(positions["\(path).skills"], message)) }
        for skill in skills {
            switch skill {
            case .remote: report("skills of type remote are not built yet")
            case .mcp: report("skills of type mcp are not built yet")
            case .image: report("image skills are not built yet")
            case .agent(let name) where AgentName(rawValue: name) == nil:
                let known = AgentName.allCases.map(\.rawValue)
                report("unknown agent \"\(name)\"\(Suggestion.text(for: name, among: known))")
            case .agent, .file, .cli, .inline: continue
            }
        }
    }
}

/// The agents that can run in a box.
package enum AgentName: String, Sendable, CaseIterable {
    case claudeCode = "claude-code"
    case claudio
}

extension AgentSpec {
    /// The agent that the skills name; Claude Code where they name none.
    package var agent: AgentName {
        for case .agent(let name) in skills { return AgentName(rawValue: name) ?? .claudeCode }
        return .claudeCode
    }

    /// What a pipeline's box asks of its agent.
    package init(_ box: PipelineBoxSpec) {
        self.init()
        prompt = box.prompt
        skills = box.skills
        timeoutSeconds = box.timeoutSeconds
        outputFile = box.outputFile
    }
}
