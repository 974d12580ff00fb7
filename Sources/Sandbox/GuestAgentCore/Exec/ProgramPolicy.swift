internal import TTRPC

/// Which programs a call may start. What these start in turn is their own business.
struct ProgramPolicy: Equatable {
    private let allowed: Set<String>?

    /// Everything may run.
    static let any = ProgramPolicy(allowed: nil)

    /// Only programs with these base names; none if there are none.
    static func only(_ names: some Sequence<String>) -> ProgramPolicy { ProgramPolicy(allowed: Set(names)) }

    private init(allowed: Set<String>?) {
        self.allowed = allowed
    }

    /// Throws with the name of the program and of those that may run.
    func check(_ program: String) throws(TTRPCStatus) {
        guard let allowed else { return }
        let name = program.split(separator: "/").last.map(String.init) ?? program
        if allowed.contains(name) { return }
        throw TTRPCStatus(
            .permissionDenied,
            allowed.isEmpty
                ? "program \"\(name)\" is not allowed: the policy of this box allows none"
                : "program \"\(name)\" is not allowed; the policy of this box allows: \(Self.list(allowed))",
        )
    }

    private static func list(_ names: Set<String>) -> String {
        let sorted = names.sorted()
        let shown = sorted.prefix(40).joined(separator: ", ")
        return sorted.count > 40 ? "\(shown) and \(sorted.count - 40) more" : shown
    }
}
