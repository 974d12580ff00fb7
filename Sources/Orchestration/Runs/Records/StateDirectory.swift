/// Where runs are recorded: `VOIDBOX_STATE_DIR`, else `voidbox` below `XDG_STATE_HOME`, else `~/.local/state/voidbox`.
package enum StateDirectory {
    /// Nil where no variable says where the user's files are.
    package static func path(environment: [String: String]) -> String? {
        func absolute(_ name: String) -> String? {
            guard let value = environment[name], value.hasPrefix("/") else { return nil }
            return value
        }
        if let own = environment["VOIDBOX_STATE_DIR"], !own.isEmpty { return own }
        // The XDG specification has relative paths ignored.
        if let state = absolute("XDG_STATE_HOME") { return "\(state)/voidbox" }
        return absolute("HOME").map { "\($0)/.local/state/voidbox" }
    }
}
