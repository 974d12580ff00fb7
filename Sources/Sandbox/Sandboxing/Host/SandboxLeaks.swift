internal import LinuxSystem

/// What a killed voidbox may have left behind. Boxes have no files on the host, so these are processes; only the socket of a
/// vsock has a name, which the next box of that name takes over.
package enum SandboxLeaks {
    package struct Finding: Hashable, Sendable, CustomStringConvertible {
        package let pid: Int32
        package let tag: String

        package var description: String {
            "process \(pid) (\(tag)) runs a box whose voidbox is gone; end it with: kill \(pid)"
        }
    }

    private static let prefix = "voidbox-box-"
    /// Programs that run a machine.
    private static let machines: Set = ["qemu-system-x86_64", "voidbox-vmm"]

    /// Names the owner in each machine's command line: its process number and when it started, since numbers are used again.
    package static func processTag() -> String {
        "\(prefix)\(HostFacts.processID)-\(ProcessIdentity.current?.startTime ?? 0)"
    }

    package static func scan() -> [Finding] {
        HostFacts.processes().compactMap { pid in
            guard let tag = tag(of: pid), !ownerIsAlive(tag) else { return nil }
            // Asked again: a box ends with its owner, and may have done so since it was asked first.
            guard Self.tag(of: pid) == tag else { return nil }
            return Finding(pid: pid, tag: tag)
        }
    }

    private static func tag(of pid: Int32) -> String? {
        guard let line = HostFacts.text(of: "/proc/\(pid)/cmdline") else { return nil }
        let arguments = line.split(separator: "\0")
        guard let program = arguments.first?.split(separator: "/").last, machines.contains(String(program)) else {
            return nil
        }
        return arguments.first { $0.hasPrefix(prefix) }.map(String.init)
    }

    private static func ownerIsAlive(_ tag: String) -> Bool {
        let parts = tag.dropFirst(prefix.count).split(separator: "-")
        guard parts.count == 2, let pid = Int32(parts[0]), let start = UInt64(parts[1]) else { return false }
        return ProcessIdentity(pid: pid, startTime: start).exists
    }
}
