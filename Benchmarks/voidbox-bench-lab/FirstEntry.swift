import Foundation
import LinuxSystem
import Sandboxing

/// Watches, by the kernel's own trace, when a program was started and when its first processor entered the guest.
struct FirstEntry {
    private static let root = "/sys/kernel/tracing"

    private static func write(_ text: String, _ file: String) throws {
        try Data(text.utf8).write(to: URL(filePath: "\(root)/\(file)"))
    }

    static func prepare() throws {
        if !HostFacts.exists("\(root)/trace") {
            let mount = Process()
            mount.executableURL = URL(filePath: "/bin/mount")
            mount.arguments = ["-t", "tracefs", "tracefs", root]
            try mount.run()
            mount.waitUntilExit()
        }
        try write("0", "tracing_on")
        // The first events are those that count: a full buffer takes no more.
        try write("0", "options/overwrite")
        try write("mono", "trace_clock")
        try write("256", "buffer_size_kb")
        for event in ["sched/sched_process_exec", "kvm/kvm_entry"] { try write("1", "events/\(event)/enable") }
    }

    /// Milliseconds from the start of `program` to its first entry, while `body` boots and stops a box.
    static func time(of program: String, _ body: () async throws -> Void) async throws -> Double {
        try write("", "trace")
        try write("1", "tracing_on")
        defer { try? write("0", "tracing_on") }
        try await body()
        try write("0", "tracing_on")
        var start: Double?
        for line in (HostFacts.text(of: "\(root)/trace", limit: 16 << 20) ?? "").split(separator: "\n") {
            // "  name-123 [000] d.... 12.345678: event: …"
            let words = line.split(separator: " ")
            guard let event = words.firstIndex(where: { $0 == "sched_process_exec:" || $0 == "kvm_entry:" }), event > 0,
                let time = Double(words[event - 1].dropLast())
            else { continue }
            if words[event] == "sched_process_exec:" {
                if words[event + 1].hasSuffix(program) { start = time }
            } else if let start {
                return (time - start) * 1000
            }
        }
        throw SandboxError(.notFound, resource: program, "the trace does not show its start and its first entry")
    }
}
