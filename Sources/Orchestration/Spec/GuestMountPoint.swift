/// A place in the box where a directory of the host may appear.
package struct GuestMountPoint: Hashable, Sendable {
    package struct Violation: Error, Hashable, CustomStringConvertible {
        /// Completes a sentence that begins with what was to be the place.
        package let description: String
    }

    /// With what is below them: what runs in the box relies on them, or they are no files at all.
    private static let system: Set<Substring> = [
        "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr",
    ]
    /// Only themselves: boxes have files of their own there.
    private static let own: Set<String> = ["/opt", "/tmp"]

    /// Absolute, without empty components and dots.
    package let path: String

    package init(_ text: String) throws(Violation) {
        let components = text.split(separator: "/").filter { $0 != "." }
        let path = "/" + components.joined(separator: "/")
        guard text.hasPrefix("/") else {
            throw Violation(description: "must be an absolute path in the guest, not \"\(text.prefix(200))\"")
        }
        guard !components.contains(".."), !text.utf8.contains(0) else {
            throw Violation(description: "must not contain \"..\" or a NUL character")
        }
        guard text.utf8.count < 4096, components.allSatisfy({ $0.utf8.count < 256 }) else {
            throw Violation(description: "is longer than a path may be")
        }
        guard let first = components.first else {
            throw Violation(description: "cannot be \"/\": the box has its own root")
        }
        let isAgents =
            first == "opt" && components.count > 1 && AgentName(rawValue: String(components[1]))?.hasDisk == true
        guard !Self.system.contains(first), !Self.own.contains(path), !isAgents else {
            throw Violation(
                description: "cannot be \(path), which belongs to the box; use a directory such as /workspace/data"
            )
        }
        self.path = path
    }
}
