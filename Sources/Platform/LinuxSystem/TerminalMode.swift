internal import CLinux
internal import Glibc

/// The terminal behind a descriptor of this process.
package enum TerminalMode {
    package static func isTerminal(_ descriptor: Int32) -> Bool {
        isatty(descriptor) == 1
    }

    /// Columns and rows, or nil where the descriptor is not a terminal.
    package static func windowSize(of descriptor: Int32) -> (columns: UInt16, rows: UInt16)? {
        var columns: UInt16 = 0
        var rows: UInt16 = 0
        // SAFETY: the shim stores one value behind each pointer.
        guard unsafe clinux_get_window_size(descriptor, &columns, &rows) == 0, columns > 0, rows > 0 else { return nil }
        return (columns, rows)
    }

    /// Puts the terminal into raw mode until the returned value goes: every key reaches the program behind it.
    package static func makeRaw(_ descriptor: Int32) throws(SyscallError) -> RawTerminal {
        var saved = termios()
        // SAFETY: tcgetattr fills the structure it is given.
        try retrying("tcgetattr") { unsafe tcgetattr(descriptor, &saved) }
        try checked("tcgetattr", clinux_restore_terminal_on_interrupt(descriptor))
        var raw = saved
        // SAFETY: cfmakeraw and tcsetattr read and write only the structure they are given.
        unsafe cfmakeraw(&raw)
        try retrying("tcsetattr") { unsafe tcsetattr(descriptor, TCSADRAIN, &raw) }
        return RawTerminal(descriptor: descriptor, saved: saved)
    }
}

/// Restores the terminal's mode when it goes.
package struct RawTerminal: ~Copyable {
    private let descriptor: Int32
    private let saved: termios

    fileprivate init(descriptor: Int32, saved: termios) {
        self.descriptor = descriptor
        self.saved = saved
    }

    deinit {
        _ = clinux_restore_terminal_on_interrupt(-1)
        var saved = saved
        // SAFETY: tcsetattr reads the structure. A terminal that is gone needs no restoring.
        _ = unsafe tcsetattr(descriptor, TCSADRAIN, &saved)
    }
}
