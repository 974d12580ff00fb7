internal import Foundation

extension Spec {
    /// Reads and parses a file. Throws `SpecError`, also for a file that cannot be read.
    package static func load(file: String) throws(SpecError) -> Spec {
        func fail(_ message: String) -> SpecError { SpecError(file: file, issues: [SpecIssue(nil, message)]) }
        let attributes: [FileAttributeKey: Any]
        do {
            attributes = try FileManager.default.attributesOfItem(
                atPath: URL(filePath: file).resolvingSymlinksInPath().path
            )
        } catch {
            throw fail("failed to read \(file): no such file, or it may not be read")
        }
        guard attributes[.type] as? FileAttributeType == .typeRegular else {
            throw fail("failed to read \(file): it is not a file")
        }
        if let size = attributes[.size] as? UInt64, size > SpecDocument.maxBytes {
            let mebibytes = Double(size) / 1_048_576
            throw fail(
                "the specification is \(String(format: "%.1f", mebibytes)) MiB; the limit is "
                    + "\(SpecDocument.maxBytes / 1_048_576) MiB"
            )
        }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw fail("failed to read \(file): it may not be read")
        }
        return try parse(Array(data), file: file)
    }

    /// The specification with `VOIDBOX_LLM_*` variables of the host applied; they win over the file.
    package func applying(environment: [String: String]) throws(SpecError) -> Spec {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        var spec = self
        if let word = value("VOIDBOX_LLM_PROVIDER") {
            guard let provider = LLMSpec.Provider(rawValue: word) else {
                let known = LLMSpec.Provider.allCases.map(\.rawValue)
                let message = "unknown provider \"\(word)\"\(Suggestion.text(for: word, among: known))"
                throw SpecError(file: "VOIDBOX_LLM_PROVIDER", issues: [SpecIssue(nil, message)])
            }
            spec.llm = spec.llm ?? LLMSpec(provider: provider)
            spec.llm?.provider = provider
        }
        if let model = value("VOIDBOX_LLM_MODEL") {
            spec.llm = (spec.llm ?? LLMSpec(provider: .claude)).with { $0.model = model }
        }
        if let url = value("VOIDBOX_LLM_BASE_URL") {
            spec.llm = (spec.llm ?? LLMSpec(provider: .claude)).with { $0.baseURL = url }
        }
        if let name = value("VOIDBOX_LLM_API_KEY_ENV") {
            spec.llm = (spec.llm ?? LLMSpec(provider: .claude)).with { $0.apiKeyEnv = name }
        }
        return spec
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
