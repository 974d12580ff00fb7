internal import HostSession

/// Text from a box or a model on its way to a terminal. Whoever wrote it may want to steer the terminal that shows it.
public enum TerminalText {
    /// Newlines and tabs stay. Other control characters, and those that turn the direction of writing, become visible.
    public static func safe(_ text: String) -> String { HostSession.TerminalText.safe(text) }

    /// The same on one line of at most a thousand characters.
    public static func line(_ text: String) -> String { HostSession.TerminalText.line(text) }
}
