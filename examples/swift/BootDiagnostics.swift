import VoidBox

/// What a box finds when it starts, and how long that took. The programs as YAML: `../specs/boot-diagnostics.yaml`.
enum BootDiagnostics {
    static let workflow = Workflow("boot-diagnostics")
        .memory(.mebibytes(512))
        .step("kernel", "uname", "-srm")
        .step("uptime", "cat", "/proc/uptime")
        .step("memory", "head", "-n", "3", "/proc/meminfo")
        .step("mounts", "cat", "/proc/mounts")
        .step("user", "id")
        .step(
            "report",
            "sh",
            "-c",
            "echo kernel: $(uname -sr); echo up: $(cut -d. -f1 /proc/uptime) s; echo user: $(id -un)",
            dependsOn: ["kernel", "uptime", "memory", "mounts", "user"],
        )
        .output("report")

    /// A box that stays while questions are asked, a file is written, and a shell is talked to in a terminal.
    static func run() async throws -> RunResult? {
        try await Sandbox("boot-diagnostics").memory(.mebibytes(512)).run { box in
            let health = try await box.health()
            print("backend: \(box.backend), ready after \(box.bootDuration)")
            print("kernel: \(try await box.exec("uname", "-srm").output)", terminator: "")
            print("up: \(health.uptime), processors: \(health.processors), memory: \(health.memory >> 20) MiB")
            print("guest agent: \(health.agentMemory >> 10) KiB")
            for warning in health.warnings { print("warning: \(warning)") }
            try await box.writeFile("/workspace/note.txt", "written before the terminal was opened\n")
            try await box.withProgram(Command("sh"), terminal: WindowSize(columns: 100, rows: 30)) { shell in
                try await shell.resize(WindowSize(columns: 90, rows: 25))
                try await shell.write("stty size; cat note.txt; exit 7\n")
                for try await event in shell {
                    switch event {
                    case .stdout(let bytes): print(String(decoding: bytes, as: UTF8.self), terminator: "")
                    case .exited(let exit): print("the shell ended with \(exit.shellCode)")
                    default: continue
                    }
                }
            }
        }
        return nil
    }
}
