internal import Foundation
internal import HostSession
internal import LinuxSystem
internal import Runs

/// Writes to the two streams of the process, whole lines at a time, and lets nothing through to a terminal that steers it.
enum Console {
    /// Throws `StandardOutputError`.
    static func out(_ text: String) throws(StandardOutputError) {
        try write(TerminalMode.isTerminal(1) ? TerminalText.safe(text) : text)
    }

    /// Never fails: a reader of stderr that is gone misses something, but what it watched goes on.
    static func error(_ text: String) {
        try? StandardStream.write(Array((TerminalText.safe(text) + "\n").utf8), to: 2)
    }

    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try write(TerminalText.safeJSON(String(decoding: try encoder.encode(value), as: UTF8.self)))
    }

    /// Says why the command failed, in the format asked for, and returns what to exit with.
    static func report(_ failure: RunFailure, as format: OutputFormat) -> ExitStatus {
        switch format {
        case .human: error("error: \(failure)")
        case .json:
            struct Envelope: Encodable { var error: RunFailure }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            do {
                error(
                    TerminalText.safeJSON(String(decoding: try encoder.encode(Envelope(error: failure)), as: UTF8.self))
                )
            } catch {
                self.error("error: \(failure)")
            }
        }
        return ExitStatus(of: failure)
    }

    private static func write(_ text: String) throws(StandardOutputError) {
        do throws(SyscallError) {
            try StandardStream.write(Array((text + "\n").utf8), to: 1)
        } catch {
            throw StandardOutputError(errno: error.errno)
        }
    }
}
