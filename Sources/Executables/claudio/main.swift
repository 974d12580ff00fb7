internal import ClaudioCore
internal import FoundationEssentials
internal import Glibc

// A stand-in for Claude Code that always does the same: see ClaudioScript.

func readAll() -> String {
    var bytes: [UInt8] = []
    while let line = readLine(strippingNewline: false) { bytes += Array(line.utf8) }
    return String(decoding: bytes, as: UTF8.self)
}

func names(in directory: String, _ transform: (String) -> String?) -> [String] {
    // No directory, no names.
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).compactMap(transform).sorted()
}

func skillNames(in directory: String) -> [String] {
    names(in: directory) { name in
        if name.hasSuffix(".md") { return String(name.dropLast(3)) }
        return FileManager.default.fileExists(atPath: "\(directory)/\(name)/SKILL.md") ? name : nil
    }
}

let environment = ProcessInfo.processInfo.environment
// The user's skills, then the project's, where Claude Code has them.
let configuration = environment["CLAUDE_CONFIG_DIR"] ?? "\(environment["HOME"] ?? "")/.claude"
let skills = skillNames(in: "\(configuration)/skills") + skillNames(in: "/workspace/.claude/skills")
let arguments = ClaudioArguments(CommandLine.arguments)
let servers = ["/workspace/.mcp.json", arguments.mcpConfiguration].compactMap(\.self).flatMap {
    MCPConfiguration.serverNames(FileManager.default.contents(atPath: $0))
}
let script = ClaudioScript(environment: environment, mcpServers: servers)

func emit(_ line: String) {
    if script.delayMilliseconds > 0 { usleep(script.delayMilliseconds &* 1000) }
    print(line)
    fflush(nil)
}

func play(_ prompt: String) {
    if let custom = script.customLines {
        print(custom)
        return
    }
    emit(script.systemLine(skills: skills, mcpServers: servers))
    for index in 0..<max(script.tools, 0) { script.toolLines(index).forEach(emit) }
    for index in 0..<max(script.extraLines, 0) { emit(script.extraLine(index)) }
    if let file = script.outputFile {
        guard FileManager.default.createFile(atPath: file.path, contents: Data(file.content.utf8)) else {
            print("claudio: cannot write \(file.path)")
            exit(1)
        }
    }
    switch script.crash {
    case .signal(let number): kill(getpid(), number)
    case .exit(let code): exit(code)
    case nil: break
    }
    if script.isCut { return }
    emit(script.resultLine(prompt: prompt, skills: skills, mcpServers: servers))
    if script.isError { exit(1) }
}

switch arguments.command {
case .version: print("1.0.0 (claudio)")
case .plan: print(#"{"plan":["inspect","change","verify"]}"#)
case .apply: print(#"{"applied":true}"#)
case .run(let prompt): play(prompt ?? readAll())
}
