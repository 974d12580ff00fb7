extension SandboxInstance {
    /// An error of a call, with the reason if the box has ended: the channel tells first, and the machine's end tells more.
    /// Waits for that end at most two seconds.
    package func explained(_ error: any Error) async -> any Error {
        guard let error = error as? SandboxError, error.code == .machineEnded else { return error }
        let end = await end(within: .seconds(2)).map { ": \($0)" } ?? "; its machine still runs"
        return SandboxError(.machineEnded, resource: error.resource, error.message + end, cause: error)
    }

    private func end(within limit: Duration) async -> SandboxExit? {
        await withTaskGroup(of: SandboxExit?.self) { group in
            // Either ends early when the other is done, or the caller is cancelled; then there is nothing to tell.
            group.addTask { try? await waitUntilEnded() }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}

extension SandboxExit: CustomStringConvertible {
    package var description: String {
        switch self {
        case .stopped: return "it was stopped"
        case .guestReset(let console):
            let tail = console.split(separator: "\n").suffix(12).joined(separator: "\n  ")
            return "the guest reset itself" + (tail.isEmpty ? "" : "; its console ends:\n  \(tail)")
        case .machineFailed(let reason): return reason
        }
    }
}
