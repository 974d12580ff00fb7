import Foundation
import LinuxSystem

/// What a machine's process takes of the host's memory beside the guest's own.
struct ProcessMemory {
    /// Proportional set size of all mappings but the guest's memory, in MiB.
    let withoutGuest: Double
    /// Of the guest's memory, in MiB.
    let guestSize: Double

    /// A mapping without a file and at least this large is the guest's memory: nothing else in either program is.
    private static let smallestGuest = 64 << 10

    init(of pid: Int32) {
        var (own, guest) = (0, 0)
        var isGuest = false
        for line in (HostFacts.text(of: "/proc/\(pid)/smaps", limit: 16 << 20) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 1 else { continue }
            if !words[0].hasSuffix(":") {
                // "start-end rw-p offset device inode [path]"
                let bounds = words[0].split(separator: "-").compactMap { Int($0, radix: 16) }
                guard bounds.count == 2, words.count >= 5 else { continue }
                let kibibytes = (bounds[1] - bounds[0]) / 1024
                isGuest = words[1].hasPrefix("rw") && words[4] == "0" && kibibytes >= Self.smallestGuest
                if isGuest { guest += kibibytes }
            } else if words[0] == "Pss:", !isGuest {
                own += Int(words[1]) ?? 0
            }
        }
        withoutGuest = Double(own) / 1024
        guestSize = Double(guest) / 1024
    }
}

/// Processor time of a process so far, of all its threads and their guests.
func processorNanoseconds(of pid: Int32) -> Double {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
    return tasks.reduce(0) { sum, task in
        let text = HostFacts.text(of: "/proc/\(pid)/task/\(task)/schedstat") ?? ""
        return sum + (text.split(separator: " ").first.flatMap { Double($0) } ?? 0)
    }
}
