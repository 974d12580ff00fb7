internal import Primitives

/// A map of a specification while it is written. Keys without a value are left out.
struct Document {
    private(set) var members: [String: JSONValue] = [:]

    var value: JSONValue { .object(members) }

    subscript(key: String) -> JSONValue? {
        get { members[key] }
        set { members[key] = newValue }
    }

    mutating func text(_ key: String, _ text: String?) { self[key] = text.map { .string($0) } }
    mutating func number(_ key: String, _ number: Int?) { self[key] = number.map { .integer(Int64($0)) } }

    /// In whole seconds, and rather more than less.
    mutating func seconds(_ key: String, _ duration: Duration?) {
        number(key, duration.map { $0.roundedUp(to: .seconds(1)) })
    }

    mutating func milliseconds(_ key: String, _ duration: Duration?) {
        number(key, duration.map { $0.roundedUp(to: .milliseconds(1)) })
    }

    mutating func map(_ key: String, _ document: Document) {
        if !document.members.isEmpty { self[key] = document.value }
    }

    mutating func list(_ key: String, _ items: [JSONValue]) {
        if !items.isEmpty { self[key] = .array(items) }
    }

    mutating func texts(_ key: String, _ texts: [String: String]) {
        if !texts.isEmpty { self[key] = .object(texts.mapValues { .string($0) }) }
    }

    mutating func merge(_ other: Document) { members.merge(other.members) { $1 } }
}

extension Duration {
    fileprivate func roundedUp(to unit: Duration) -> Int {
        let count = self / unit
        guard count > 0 else { return 0 }
        return count < 1e15 ? Int(count.rounded(.up)) : 1_000_000_000_000_000
    }
}

extension BoxSettings {
    var document: Document {
        var sandbox = Document()
        sandbox.text("mode", mode?.rawValue)
        sandbox.text("kernel", kernel)
        sandbox.text("initramfs", initramfs)
        sandbox.number("memory_mb", memory?.mebibytes)
        sandbox.number("vcpus", vcpus)
        sandbox["network"] = network.map { .bool($0) }
        sandbox.texts("env", environment)
        sandbox.list(
            "mounts",
            mounts.map { mount in
                .object([
                    "host": .string(mount.host), "guest": .string(mount.guest), "mode": .string(mount.access.rawValue),
                ])
            }
        )
        if let policy { sandbox["policy"] = policy.document.value }
        return sandbox
    }
}

extension Policy {
    fileprivate var document: Document {
        var policy = Document()
        policy["allowed_programs"] = allowedPrograms.map { .array($0.map { .string($0) }) }
        policy.number("max_open_files", maxOpenFiles)
        policy.number("max_processes", maxProcesses)
        policy.number("max_file_mb", maxFileMebibytes)
        policy.number("max_memory_mb", maxMemory?.mebibytes)
        return policy
    }
}
