internal import Foundation
internal import LinuxSystem
package import Sandboxing

/// The terminal that this process was started in.
package enum HostTerminal {
    /// Whether there is one to type at and to look at.
    package static var isThere: Bool { TerminalMode.isTerminal(0) && TerminalMode.isTerminal(1) }

    package static var size: TerminalSize {
        let size = TerminalMode.windowSize(of: 1)
        return TerminalSize(columns: size?.columns ?? 80, rows: size?.rows ?? 24)
    }

    /// As in `TERM`.
    package static var type: String { ProcessInfo.processInfo.environment["TERM"] ?? "xterm-256color" }

    /// Gives the terminal to a program until it has ended.
    package static func show(_ session: any ExecSession) async throws -> ExecExit {
        let raw = try TerminalMode.makeRaw(0)
        let exit = try await Streams.connect(session, passesInput: true, followsWindow: true)
        _ = consume raw
        return exit
    }
}
