internal import Glibc

/// The process that this code runs in.
package enum CurrentProcess {
    /// Ends it at once, whatever its other threads do.
    package static func end(status: Int32) -> Never {
        _exit(status)
    }

    /// A write to a peer that is gone is an error of that write, not the end of the process. Children start with the
    /// default again.
    package static func ignoreBrokenPipes() {
        _ = signal(SIGPIPE, SIG_IGN)
    }
}
