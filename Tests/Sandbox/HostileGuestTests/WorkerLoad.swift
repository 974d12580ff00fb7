import Foundation
import LinuxSystem

/// What a worker's process takes of the host.
struct WorkerLoad {
    /// Resident without the guest's memory, in KiB; nil where this user may not see it.
    let memory: Int?
    let descriptors: Int?
    let threads: Int
    /// Processor time of the threads that run no processor of the guest, in ticks of 10 ms.
    let deviceTicks: Int

    init(of pid: Int32) throws {
        memory = HostFacts.text(of: "/proc/\(pid)/smaps", limit: 8 << 20).map(Self.resident)
        descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
        let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
        threads = tasks.count
        deviceTicks = tasks.reduce(0) { $0 + Self.ticks("/proc/\(pid)/task/\($1)/stat") }
    }

    /// Of `smaps`: every mapping but the guest's memory, which is the one of that size.
    private static func resident(_ text: String) -> Int {
        var isGuest = false
        var total = 0
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 1, let value = Int(fields[1]) else { continue }
            if fields[0] == "Size:" { isGuest = value << 10 == Int(HostileGuest.memory) }
            if fields[0] == "Rss:", !isGuest { total += value }
        }
        return total
    }

    /// `PID (NAME) STATE …`: user and system time are the 12th and 13th fields behind the name.
    private static func ticks(_ path: String) -> Int {
        guard let text = HostFacts.text(of: path), let end = text.lastIndex(of: ")"), !text.contains("(vcpu") else {
            return 0
        }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 12 ? (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0) : 0
    }
}
