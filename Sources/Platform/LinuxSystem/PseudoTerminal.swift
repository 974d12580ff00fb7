internal import CLinux
internal import Glibc

/// A new pseudo-terminal.
package struct PseudoTerminal: ~Copyable {
    /// What the program's output is read from and its input is written to. Reading throws `EIO` once the last holder of
    /// the terminal has gone.
    package var manager: OwnedFD
    /// What the program gets as its standard descriptors.
    package var terminal: OwnedFD

    package init(columns: UInt16, rows: UInt16) throws(SyscallError) {
        var number: Int32 = -1
        // SAFETY: the shim stores one descriptor.
        let manager = OwnedFD(adopting: try checked("open", on: "/dev/ptmx", unsafe clinux_open_terminal(&number)))
        let terminal = OwnedFD(adopting: number)
        try manager.setWindowSize(columns: columns, rows: rows)
        self.manager = manager
        self.terminal = terminal
    }
}

extension OwnedFD {
    /// Sets the size of a terminal, through either of its ends; its foreground programs get `SIGWINCH`.
    package func setWindowSize(columns: UInt16, rows: UInt16) throws(SyscallError) {
        try checked("ioctl(TIOCSWINSZ)", clinux_window_size(rawValue, columns, rows))
    }
}
