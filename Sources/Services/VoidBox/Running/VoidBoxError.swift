internal import Runs
internal import Sandboxing
internal import Spec

/// What failed, on which resource, and what to try.
public struct VoidBoxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Open: a new cause is a new constant.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String

        init(_ name: String) {
            description = name
        }

        /// The request makes no sense: a builder, an argument, a file that is not there.
        public static let invalid = Code("invalid")
        /// This host cannot do it: no hypervisor, no kernel, no image.
        public static let hostUnsupported = Code("host-unsupported")
        /// A run failed: its agent, a step, its box.
        public static let runFailed = Code("run-failed")
        /// The run was cancelled.
        public static let interrupted = Code("interrupted")
        /// The machine did not come up.
        public static let bootFailed = Code("boot-failed")
        /// The machine ended while the call was under way.
        public static let machineEnded = Code("machine-ended")
        public static let timedOut = Code("timed-out")
        public static let notFound = Code("not-found")
        public static let alreadyExists = Code("already-exists")
        public static let notPermitted = Code("not-permitted")
        /// The policy of the box refuses the program.
        public static let programNotAllowed = Code("program-not-allowed")
        /// The program is missing or cannot be executed.
        public static let cannotStart = Code("cannot-start")
        /// The program does not read its stdin any more.
        public static let inputClosed = Code("input-closed")
        public static let resourceExhausted = Code("resource-exhausted")
    }

    public let code: Code
    /// Names what it is about.
    public let message: String
    /// What to try.
    public let hint: String?

    init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    public var description: String {
        guard let hint else { return message }
        return "\(message); \(hint)"
    }
}

extension VoidBoxError {
    init(_ failure: RunFailure) {
        let code: Code =
            switch failure.class {
            case .run: .runFailed
            case .usage: .invalid
            case .host: .hostUnsupported
            case .interrupted: .interrupted
            }
        self.init(code, failure.message, hint: failure.hint)
    }

    /// Any error of the layers below; what is no failure of theirs stays as it is.
    static func translating(_ error: any Error) -> any Error {
        switch error {
        case let error as SandboxError:
            let code = error.code == .invalidArgument ? Code.invalid : Code(error.code.description)
            return VoidBoxError(code, "\(error.resource): \(error.message)", hint: error.hint)
        case let error as SpecError: return VoidBoxError(.invalid, error.description)
        case let error as RunFailure: return VoidBoxError(error)
        default: return error
        }
    }
}
