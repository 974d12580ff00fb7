internal import FoundationEssentials
internal import Primitives
internal import Sandboxing

extension MockProgram {
    /// Enough for scripts that only move text. Everything else is "no such program".
    static let builtIn: [String: MockProgram] = [
        "true": MockProgram { _ in .code(0) },
        "false": MockProgram { _ in .code(1) },
        "echo": MockProgram { process in
            try await process.write(process.arguments.dropFirst().joined(separator: " ") + "\n")
            return .code(0)
        },
        "cat": MockProgram { process in try await cat(process) },
        "tr": MockProgram { process in
            // Only what the examples use: tr a-z A-Z.
            while let bytes = try await process.read() {
                try await process.write(
                    bytes.map { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) ? $0 - 32 : $0 }
                )
            }
            return .code(0)
        },
        "head": MockProgram { process in
            let arguments = process.arguments
            guard arguments.count == 4, arguments[1] == "-c", arguments[3] == "/dev/zero", var rest = Int(arguments[2])
            else { return try await unsupported(process) }
            while rest > 0 {
                let count = min(rest, 65536)
                try await process.write([UInt8](repeating: 0, count: count))
                rest -= count
            }
            return .code(0)
        },
        "sleep": MockProgram { process in
            guard let seconds = process.arguments.dropFirst().first.flatMap(Double.init) else {
                return try await unsupported(process)
            }
            try await Task.sleep(for: .seconds(seconds))
            return .code(0)
        },
        "claude-code": MockProgram { process in try await agent(process) },
        "claudio": MockProgram { process in try await agent(process) },
        "sh": MockProgram { process in try await shell(process) },
        "test": MockProgram { process in
            guard process.arguments.count == 3, process.arguments[1] == "-e" else {
                return try await unsupported(process)
            }
            return .code(process.files.contents(of: process.arguments[2]) == nil ? 1 : 0)
        },
    ]

    /// An agent that repeats the beginning of its prompt, in Claude Code's stream format.
    private static func agent(_ process: MockProcess) async throws -> ExecExit.Status {
        var prompt: [UInt8] = []
        while let bytes = try await process.read() { prompt += bytes }
        let text = "[mock] \(String(decoding: prompt, as: UTF8.self).prefix(120))"
        let lines: [JSONValue] = [
            .object([
                "type": .string("system"), "subtype": .string("init"), "session_id": .string("mock_sess"),
                "model": .string("mock"),
            ]),
            .object([
                "type": .string("result"), "subtype": .string("success"), "is_error": .bool(false),
                "result": .string(text), "session_id": .string("mock_sess"), "num_turns": .integer(1),
                "total_cost_usd": .integer(0),
                "usage": .object(["input_tokens": .integer(1), "output_tokens": .integer(1)]),
            ]),
        ]
        for line in lines { try await process.write(Array(try JSONEncoder().encode(line)) + [0x0A]) }
        return .code(0)
    }

    private static func cat(_ process: MockProcess) async throws -> ExecExit.Status {
        let paths = process.arguments.dropFirst()
        if paths.isEmpty {
            while let bytes = try await process.read() { try await process.write(bytes) }
        }
        for path in paths {
            guard let contents = process.files.contents(of: path) else {
                try await process.writeError("cat: \(path): No such file or directory\n")
                return .code(1)
            }
            try await process.write(contents)
        }
        return .code(0)
    }

    /// `exit N`, `kill -N $$` and `echo WORDS`, joined by `;`: not a shell, and it says so about anything else.
    private static func shell(_ process: MockProcess) async throws -> ExecExit.Status {
        guard process.arguments.count == 3, ["-c", "-lc"].contains(process.arguments[1]) else {
            return try await unsupported(process)
        }
        for command in process.arguments[2].split(separator: ";") {
            let words = command.split(separator: " ")
            switch words.first {
            case "exit": return .code(words.dropFirst().first.flatMap { UInt8($0) } ?? 0)
            case "kill":
                guard words.count == 3, words[2] == "$$", let signal = Int32(words[1].dropFirst()) else {
                    return try await unsupported(process)
                }
                return .signal(signal)
            case "echo": try await process.write(words.dropFirst().joined(separator: " ") + "\n")
            default: return try await unsupported(process)
            }
        }
        return .code(0)
    }

    private static func unsupported(_ process: MockProcess) async throws -> ExecExit.Status {
        let line = process.arguments.joined(separator: " ")
        try await process.writeError("mock: \"\(line)\" is not scripted; run it in a real box (--mode auto)\n")
        return .code(127)
    }
}
