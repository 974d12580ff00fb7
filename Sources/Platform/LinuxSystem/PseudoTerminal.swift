internal import CLinux
internal import Glibc

extension OwnedFD {
    /// A new pseudo-terminal: `first` is the manager's end, `second` what a program gets as its standard descriptors.
    ///
    /// Reading the manager's end throws `EIO` once the last holder of the terminal has gone.
    package static func pseudoTerminal(columns: UInt16, rows: UInt16) throws(SyscallError) -> Pair {
        var terminal: Int32 = -1
        // SAFETY: the shim stores one descriptor.
        let manager = try checked("open", on: "/dev/ptmx", unsafe clinux_open_terminal(&terminal))
        let pair = Pair(first: OwnedFD(adopting: manager), second: OwnedFD(adopting: terminal))
        try pair.first.setWindowSize(columns: columns, rows: rows)
        return pair
    }

    /// Sets the size of a terminal, through either of its ends; its foreground programs get `SIGWINCH`.
    package func setWindowSize(columns: UInt16, rows: UInt16) throws(SyscallError) {
        try checked("ioctl(TIOCSWINSZ)", clinux_window_size(rawValue, columns, rows))
    }
}

extension OwnedFD.Pair {
    /// Gives each end an owner of its own.
    package consuming func split<Result>(
        _ body: (consuming OwnedFD, consuming OwnedFD) -> Result
    ) -> Result {
        body(first, second)
    }
}
