/// A virtual machine as far as a box needs to know it: it ends, and it can be ended.
package protocol VirtualMachine: Sendable {
    /// The last lines of the guest's console, for an error's sake.
    var consoleTail: String { get }
    /// What the machine's process found that the user should know.
    var warnings: [String] { get }
    /// Returns when the machine's process has ended and was reaped. Throws only `CancellationError`.
    func waitUntilEnded() async throws -> MachineEnd
    /// Ends the machine at once and returns when nothing of it is left. Idempotent.
    func terminate() async
}

extension VirtualMachine {
    package var warnings: [String] { [] }
}

package enum MachineEnd: Hashable, Sendable {
    /// The guest powered off or reset.
    case guestReset
    case failed(reason: String)
    /// The program that was to run it cannot run a machine.
    case unusable(program: String, reason: String, hint: String)
}

extension MachineEnd: CustomStringConvertible {
    package var description: String {
        switch self {
        case .guestReset: "the guest reset itself"
        case .failed(let reason): reason
        case .unusable(let program, let reason, _): "\(program): \(reason)"
        }
    }
}
