/// What went wrong with a box, on which of its resources, and what to try.
package struct SandboxError: Error, CustomStringConvertible {
    /// Open: a new cause is a new constant, and callers compare with the ones they know.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private let name: String
        private init(_ name: String) { self.name = name }
        package var description: String { name }

        /// The host lacks something: hypervisor, QEMU, kernel, image.
        package static let hostUnsupported = Code("host-unsupported")
        /// The machine did not come up.
        package static let bootFailed = Code("boot-failed")
        /// The machine ended, or the channel to it broke, while the call was under way.
        package static let machineEnded = Code("machine-ended")
        package static let timedOut = Code("timed-out")
        package static let notFound = Code("not-found")
        package static let alreadyExists = Code("already-exists")
        package static let notPermitted = Code("not-permitted")
        /// The policy of the box refuses the program.
        package static let programNotAllowed = Code("program-not-allowed")
        /// The program cannot be started: missing, not executable, wrong user.
        package static let cannotStart = Code("cannot-start")
        /// The program does not read its stdin any more.
        package static let inputClosed = Code("input-closed")
        package static let invalidArgument = Code("invalid-argument")
        /// The guest did something that the protocol does not allow.
        package static let protocolViolation = Code("protocol-violation")
        package static let resourceExhausted = Code("resource-exhausted")
        package static let unsupported = Code("unsupported")
    }

    package let code: Code
    /// The path, program, device or host tool it is about.
    package let resource: String
    package let message: String
    package let hint: String?
    package let cause: (any Error)?

    package init(_ code: Code, resource: String, _ message: String, hint: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.resource = resource
        self.message = message
        self.hint = hint
        self.cause = cause
    }

    package var description: String {
        guard let hint else { return "\(resource): \(message)" }
        return "\(resource): \(message); \(hint)"
    }
}
