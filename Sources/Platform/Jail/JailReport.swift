package import LinuxSystem

/// What holds after the jail was put on.
package struct JailReport: Hashable, Sendable, CustomStringConvertible {
    package enum State: Hashable, Sendable {
        case installed
        /// Installed, but the kernel or the host lacks a part; each reason is a short sentence.
        case weaker([String])
        case waived
    }

    package struct Entry: Hashable, Sendable {
        package let layer: JailLayer
        package let state: State

        package init(_ layer: JailLayer, _ state: State) {
            self.layer = layer
            self.state = state
        }
    }

    /// One for each layer, in order.
    package private(set) var entries: [Entry]

    /// A report that arrived from elsewhere.
    package init(entries: [Entry] = []) {
        self.entries = entries
    }

    package subscript(layer: JailLayer) -> State? {
        entries.first { $0.layer == layer }?.state
    }

    /// Whether every layer holds in full.
    package var isComplete: Bool { entries.allSatisfy { $0.state == .installed } }

    /// One line for each layer that does not hold in full.
    package var shortfalls: String { Self.describe(entries.filter { $0.state != .installed }) }

    mutating func append(_ layer: JailLayer, _ state: State) {
        entries.append(Entry(layer, state))
    }

    /// One line for each layer.
    package var description: String { Self.describe(entries) }

    private static func describe(_ entries: [Entry]) -> String {
        entries.map { entry in
            switch entry.state {
            case .installed: "\(entry.layer): installed"
            case .weaker(let reasons): "\(entry.layer): installed, but \(reasons.joined(separator: "; "))"
            case .waived: "\(entry.layer): waived"
            }
        }.joined(separator: "\n")
    }
}

/// A layer that could not be put on. The process must not go on: it is confined in part only.
package struct JailError: Error, Equatable, CustomStringConvertible {
    package enum Cause: Error, Equatable {
        case system(SyscallError)
        /// What a thread gives up does not bind the threads that run already.
        case severalThreads(Int)
        case filter(SeccompProgram.Violation)
        /// The parent ended before its death could be noticed again.
        case parentGone
    }

    package let layer: JailLayer
    package let cause: Cause

    package init(_ layer: JailLayer, _ cause: Cause) {
        self.layer = layer
        self.cause = cause
    }

    package var description: String {
        let failed = "cannot install the jail's layer \(layer): "
        switch cause {
        case .system(let error): return failed + "\(error); \(advice(error.errno))"
        case .severalThreads(let count):
            return failed + "the process has \(count) threads already, and only one is bound"
        case .filter(let violation): return failed + "\(violation)"
        case .parentGone: return failed + "the parent process has ended"
        }
    }

    private func advice(_ errno: Errno) -> String {
        let waiver = "waive it by name to go on without it"
        switch layer {
        case .namespaces where errno == .notPermitted || errno == .accessDenied:
            return "this host lets no unprivileged user make namespaces (see the sysctls user.max_user_namespaces, "
                + "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns); allow it, or \(waiver)"
        case .landlock where errno == .notSupported || errno == .notImplemented:
            return "this kernel has no Landlock, or not among lsm= at boot; \(waiver)"
        case .landlock, .seccomp:
            return "it needs the layer noNewPrivileges; else \(waiver)"
        default: return waiver
        }
    }
}
