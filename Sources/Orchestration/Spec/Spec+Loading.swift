internal import Foundation
internal import LinuxSystem
internal import ModelProviders
package import Primitives
internal import Skills
internal import Yams

extension Spec {
    /// Reads and parses a file; `-` is standard input. Throws `SpecError`, also for a file that cannot be read, and for one
    /// that names files of skills that cannot be.
    package static func load(file: String) throws(SpecError) -> Spec {
        let spec = try parse(try contents(of: file), file: file)
        try spec.checkSkillFiles(file: file)
        return spec
    }

    /// The same of a document that a program made: what is wrong with it has no place in a text.
    ///
    /// - Parameter name: What messages call it. Without a slash, so that paths are relative to the working directory.
    package static func load(_ document: JSONValue, name: String) throws(SpecError) -> Spec {
        let spec = try read(Node(document), file: name)
        try spec.checkSkillFiles(file: name)
        return spec
    }

    private static func contents(of file: String) throws(SpecError) -> [UInt8] {
        func fail(_ message: String) -> SpecError { SpecError(file: file, issues: [SpecIssue(nil, message)]) }
        if file == "-" { return try standardInput() }
        func read<Value>(_ body: () throws(SyscallError) -> Value) throws(SpecError) -> Value {
            do throws(SyscallError) {
                return try body()
            } catch {
                throw fail("failed to read \(file): \(error.errno)")
            }
        }
        let status = try read { () throws(SyscallError) in try FileSystem.status(of: file) }
        guard status.kind == .regular else { throw fail("failed to read \(file): it is not a file") }
        guard status.size <= SpecDocument.maxBytes else {
            let mebibytes = String(format: "%.1f", Double(status.size) / 1_048_576)
            throw fail("the specification is \(mebibytes) MiB; the limit is \(SpecDocument.maxBytes >> 20) MiB")
        }
        return try read { () throws(SyscallError) in try FileSystem.read(file, limit: SpecDocument.maxBytes) }
    }

    private static func standardInput() throws(SpecError) -> [UInt8] {
        func fail(_ message: String) -> SpecError { SpecError(file: "-", issues: [SpecIssue(nil, message)]) }
        var bytes: [UInt8] = []
        do {
            while let data = try FileHandle.standardInput.read(upToCount: 65536), !data.isEmpty {
                bytes += data
                if bytes.count > SpecDocument.maxBytes { break }
            }
        } catch {
            throw fail("failed to read standard input: \(error.localizedDescription)")
        }
        guard bytes.count <= SpecDocument.maxBytes else {
            throw fail("the specification is larger than the limit of \(SpecDocument.maxBytes >> 20) MiB")
        }
        return bytes
    }

    private func checkSkillFiles(file: String) throws(SpecError) {
        var issues: [SpecIssue] = []
        func check(_ skills: [SkillSpec], _ path: String) {
            for (index, skill) in skills.enumerated() {
                guard case .file(let name) = skill else { continue }
                let problem: String
                do {
                    let place = Spec.resolve(name, relativeTo: file)
                    _ = try LocalSkill.read(place, name: skill.name ?? "")
                    continue
                } catch {
                    problem = "\(error)"
                }
                let position = positions["\(path).skills[\(index)]"]
                issues.append(SpecIssue(position, "skill file:\(name): \(problem)"))
            }
        }
        func check(_ schema: OutputSchemaSpec?, _ path: String) {
            do {
                _ = try schema?.read(relativeTo: file)
            } catch {
                issues.append(SpecIssue(positions["\(path).output_schema"], "\(error)"))
            }
        }
        switch body {
        case .agent(let agent):
            check(agent.skills, "agent")
            check(agent.outputSchema, "agent")
        case .pipeline(let pipeline):
            for (index, box) in pipeline.boxes.enumerated() {
                let path = "pipeline.boxes[\(index)]"
                check(box.skills, path)
                check(box.outputSchema, path)
            }
        case .workflow, .sandbox: break
        }
        if !issues.isEmpty { throw SpecError(file: file, issues: issues) }
    }

    /// The specification with `VOIDBOX_LLM_*` variables of the host applied; they win over the file. An error names the
    /// variable. Kinds that ask no model are as they were.
    package func applying(environment: [String: String]) throws(SpecError) -> Spec {
        switch body {
        case .agent, .pipeline: break
        case .workflow(let workflow): if workflow.agent == nil { return self }
        case .sandbox: return self
        }
        var spec = self
        spec.llm = try Self.applying(environment, to: llm)
        if case .pipeline(var pipeline) = body {
            for index in pipeline.boxes.indices where pipeline.boxes[index].llm != nil {
                pipeline.boxes[index].llm = try Self.applying(environment, to: pipeline.boxes[index].llm)
            }
            spec.body = .pipeline(pipeline)
        }
        return spec
    }

    private static func applying(
        _ environment: [String: String],
        to written: LLMSpec?,
    ) throws(SpecError) -> LLMSpec? {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        func refusal(of variable: String, _ message: String) -> SpecError {
            SpecError(file: variable, issues: [SpecIssue(nil, message)])
        }
        var llm = written
        if let word = value("VOIDBOX_LLM_PROVIDER") {
            let provider = try Self.provider(word)
            // What the file says of another provider, its address, key and model, is not meant for this one.
            if llm?.provider != provider { llm = LLMSpec(provider: provider) }
            if provider == .custom, llm?.baseURL == nil, value("VOIDBOX_LLM_BASE_URL") == nil {
                throw refusal(of: "VOIDBOX_LLM_PROVIDER", "custom needs an address; set VOIDBOX_LLM_BASE_URL")
            }
            if provider == .scripted, llm?.script == nil, value("VOIDBOX_LLM_SCRIPT") == nil {
                throw refusal(
                    of: "VOIDBOX_LLM_PROVIDER",
                    "scripted needs a file with its turns; set VOIDBOX_LLM_SCRIPT"
                )
            }
        }
        let known = llm?.provider ?? .claude
        if let script = value("VOIDBOX_LLM_SCRIPT") {
            guard known == .scripted else {
                throw refusal(
                    of: "VOIDBOX_LLM_SCRIPT",
                    "is for the provider scripted; set VOIDBOX_LLM_PROVIDER=scripted"
                )
            }
            // A path in a variable is relative to where the user is, not to the specification.
            llm = llm?.with { $0.script = URL(filePath: script).standardizedFileURL.path }
        }
        if let model = value("VOIDBOX_LLM_MODEL") { llm = (llm ?? LLMSpec(provider: known)).with { $0.model = model } }
        for name in ["VOIDBOX_LLM_BASE_URL", "VOIDBOX_LLM_API_KEY_ENV"] where known == .scripted && value(name) != nil {
            throw refusal(of: name, "means nothing to the provider scripted; unset it")
        }
        if let url = value("VOIDBOX_LLM_BASE_URL") {
            do throws(ModelProviderError) {
                _ = try EndpointURL(url)
            } catch {
                guard case .invalidURL(let shown, let reason) = error else {
                    throw refusal(of: "VOIDBOX_LLM_BASE_URL", error.description)
                }
                throw refusal(of: "VOIDBOX_LLM_BASE_URL", "\"\(shown)\" \(reason)")
            }
            llm = (llm ?? LLMSpec(provider: known)).with { $0.baseURL = url }
        }
        if let name = value("VOIDBOX_LLM_API_KEY_ENV") {
            guard value(name) != nil else {
                throw refusal(of: "VOIDBOX_LLM_API_KEY_ENV", "names the variable \(name), which is not set")
            }
            llm = (llm ?? LLMSpec(provider: known)).with { $0.apiKeyEnv = name }
        }
        return llm
    }

    private static func provider(_ word: String) throws(SpecError) -> LLMSpec.Provider {
        if let provider = LLMSpec.Provider(rawValue: word) { return provider }
        let known = LLMSpec.Provider.allCases.map(\.rawValue)
        let message = "unknown provider \"\(word)\"\(Suggestion.text(for: word, among: known))"
        throw SpecError(file: "VOIDBOX_LLM_PROVIDER", issues: [SpecIssue(nil, message)])
    }

    /// A path of the specification, made absolute: relative ones are relative to the specification's directory.
    package static func resolve(_ path: String, relativeTo file: String) -> String {
        if path.hasPrefix("/") { return path }
        let directory = URL(filePath: file).deletingLastPathComponent()
        return URL(filePath: path, relativeTo: directory).standardizedFileURL.path
    }
}

extension SandboxSpec {
    /// The variables of the box. An empty value copies the host's variable; `missing` names those the host does not have.
    package func resolvedEnvironment(host: [String: String]) -> (variables: [String: String], missing: [String]) {
        var missing: [String] = []
        let variables = env.reduce(into: [String: String]()) { result, entry in
            if !entry.value.isEmpty {
                result[entry.key] = entry.value
            } else if let value = host[entry.key] {
                result[entry.key] = value
            } else {
                missing.append(entry.key)
            }
        }
        return (variables, missing.sorted())
    }
}

extension LLMSpec {
    fileprivate func with(_ change: (inout LLMSpec) -> Void) -> LLMSpec {
        var copy = self
        change(&copy)
        return copy
    }
}
