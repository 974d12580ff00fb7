package import LinuxSystem

/// The process of one virtual machine as far as a box needs to know it: it ends, and it can be ended. Any thread.
package final class MachineProcess: Sendable {
    private let process: Spawner.SpawnedProcess
    private let console: ConsoleTail
    private let warned: @Sendable () -> [String]
    private let end = OneShot<MachineEnd>()
    private let waiting: Task<Void, Never>

    /// `program` is what errors call it. `warnings` are what the process found that the user should know, and `meaning` is
    /// asked once what its end means.
    package init(
        _ process: Spawner.SpawnedProcess,
        of program: String,
        console: ConsoleTail,
        warnings: @escaping @Sendable () -> [String] = { [] },
        meaning: @escaping @Sendable (TerminationStatus) async throws -> MachineEnd,
    ) {
        self.process = process
        self.console = console
        warned = warnings
        waiting = Task { [end] in
            do {
                let status = try await process.waitForEnd()
                // Whoever hears of the end looks for its reason there.
                await console.catchUp()
                end.fulfil(try await meaning(status))
            } catch {
                end.fulfil(.failed(reason: "\(program) cannot be waited for: \(error)"))
            }
        }
    }

    /// The last lines of the guest's console, for an error's sake: all of them once the machine has ended.
    package var consoleTail: String { console.text }
    package var warnings: [String] { warned() }

    /// Returns when the process has ended and was reaped. Throws only `CancellationError`.
    package func waitUntilEnded() async throws -> MachineEnd {
        try await end.wait()
    }

    /// Ends the machine at once and returns when nothing of it is left. Idempotent.
    package func terminate() async {
        // A process that has ended refuses the signal, which is as good.
        try? process.signal(Signal.kill)
        await waiting.value
    }
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
