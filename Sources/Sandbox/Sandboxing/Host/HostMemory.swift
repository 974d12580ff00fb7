internal import LinuxSystem
package import Primitives

/// Memory of this host, from `/proc/meminfo`.
package struct HostMemory: Hashable, Sendable {
    package let total: ByteCount
    /// What can be had without swapping.
    package let available: ByteCount

    /// Nil where the text lacks either.
    package init?(parsing information: String) {
        var values: [Substring: UInt64] = [:]
        for line in information.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if words.count >= 2 { values[words[0]] = UInt64(words[1]) }
        }
        guard let total = values["MemTotal"], let available = values["MemAvailable"] else { return nil }
        self.total = .kibibytes(total)
        self.available = .kibibytes(available)
    }

    package static var thisHost: HostMemory? { HostMemory(parsing: HostFacts.text(of: "/proc/meminfo") ?? "") }

    /// Throws if a box can never have its memory here. What is not there right now may yet become free: a warning.
    func check(_ configuration: SandboxConfiguration) throws(SandboxError) {
        guard configuration.memory > total else { return }
        throw SandboxError(
            .hostUnsupported,
            resource: "box \"\(configuration.name)\"",
            "it wants \(configuration.memory) of memory, and this host has \(total)",
            hint: "lower sandbox.memory_mb or --memory-mb",
        )
    }

    /// What the owner of a box of that size should know.
    package func warning(for memory: ByteCount) -> String? {
        guard memory > available, memory <= total else { return nil }
        return "the box may take \(memory) of memory, and \(available) are available: the host may run out of it"
    }
}
