/// A box on a machine that runs our guest agent.
package final class GuestSandbox: SandboxInstance {
    package let identity: SandboxIdentity
    private let machine: MachineProcess
    private let guest: GuestClient
    private let stopping = StopFlag()

    /// Waits until the agent in a machine that was just started answers. If it does not, or the task is cancelled, the
    /// machine is terminated and the error says why.
    package static func boot(
        _ machine: MachineProcess,
        _ guest: GuestClient,
        _ configuration: SandboxConfiguration,
        on backend: BackendName,
    ) async throws -> GuestSandbox {
        let sandbox = GuestSandbox(machine, guest, SandboxIdentity(name: configuration.name, backend: backend))
        let deadline = configuration.bootDeadline
        do {
            try await sandbox.waitUntilReady(deadline)
            return sandbox
        } catch {
            await machine.terminate()
            guest.close()
            throw Self.bootFailure(error, configuration.name, deadline, console: machine.consoleTail)
        }
    }

    private init(_ machine: MachineProcess, _ guest: GuestClient, _ identity: SandboxIdentity) {
        self.machine = machine
        self.guest = guest
        self.identity = identity
    }

    private func waitUntilReady(_ deadline: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [guest] in
                _ = try await guest.health(timeout: deadline)
                // The boot parameters carry the time of their writing; the boot took its own since.
                try await guest.synchronizeClock()
            }
            group.addTask { [machine, identity] in
                throw Self.bootFailure(of: try await machine.waitUntilEnded(), resource: "box \"\(identity.name)\"")
            }
            defer { group.cancelAll() }
            do {
                try await group.next()
            } catch let error as SandboxError where error.code == .machineEnded {
                // The channel tells first; the machine's end tells more.
                try await group.next()
            }
        }
    }

    private static func bootFailure(
        _ error: any Error,
        _ name: String,
        _ deadline: Duration,
        console: String,
    ) -> any Error {
        guard let error = error as? SandboxError, error.code != .hostUnsupported else { return error }
        let isLate = error.code == .timedOut
        let message = isLate ? "its agent did not answer within \(deadline)" : error.message
        let tail = console.split(separator: "\n").suffix(12).joined(separator: "\n  ")
        return SandboxError(
            .bootFailed,
            resource: "box \"\(name)\"",
            tail.isEmpty ? message : "\(message); the guest's console ends:\n  \(tail)",
            hint: isLate ? guestHint : error.hint,
            cause: error,
        )
    }

    private static let guestHint = "check that kernel and initramfs belong together (make guest)"

    private static func bootFailure(of end: MachineEnd, resource: String) -> SandboxError {
        switch end {
        case .guestReset: SandboxError(.bootFailed, resource: resource, end.description, hint: guestHint)
        case .failed: SandboxError(.bootFailed, resource: resource, end.description)
        case .unusable(let program, let reason, let hint):
            SandboxError(.hostUnsupported, resource: program, reason, hint: hint)
        }
    }

    // MARK: The end

    package func waitUntilEnded() async throws -> SandboxExit {
        let end = try await machine.waitUntilEnded()
        if stopping.isSet { return .stopped }
        switch end {
        case .guestReset: return .guestReset(console: machine.consoleTail)
        case .failed, .unusable: return .machineFailed(reason: end.description)
        }
    }

    package func stop(grace: Duration) async {
        stopping.set()
        if grace > .zero {
            do {
                try await guest.shutdown(timeout: grace)
            } catch {
                // The answer is lost when the machine is quick, and a guest that does not answer is ended by force below.
            }
            await withTaskGroup(of: Void.self) { group in
                // Either ends early when the other is done; both say so by throwing, which is no failure.
                group.addTask { [machine] in _ = try? await machine.waitUntilEnded() }
                group.addTask { try? await Task.sleep(for: grace) }
                await group.next()
                group.cancelAll()
            }
        }
        await machine.terminate()
        guest.close()
    }

    // MARK: Calls

    package func health() async throws -> GuestHealth {
        var health = try await guest.health(timeout: .seconds(10))
        health.warnings += machine.warnings
        return health
    }

    package func exec(_ request: ExecRequest) async throws -> any ExecSession { try await guest.exec(request) }
    package func attach(to id: String) async throws -> any ExecSession { try await guest.attach(to: id) }
    package func listExecs() async throws -> [ExecInfo] { try await guest.listExecs() }
    package func signalExec(_ id: String, _ signal: Int32) async throws { try await guest.signalExec(id, signal) }

    package func readFile(_ path: String, consume: (borrowing [UInt8]) async throws -> Void) async throws {
        try await guest.readFile(path, consume: consume)
    }

    package func writeFile(
        _ path: String,
        options: WriteOptions,
        produce: () async throws -> [UInt8]?,
    ) async throws {
        try await guest.writeFile(path, options: options, produce: produce)
    }

    package func stat(_ path: String, followLinks: Bool) async throws -> FileInfo {
        try await guest.stat(path, followLinks: followLinks)
    }

    package func listDirectory(_ path: String) async throws -> [FileInfo] { try await guest.listDirectory(path) }

    package func makeDirectory(_ path: String, parents: Bool) async throws {
        try await guest.makeDirectory(path, parents: parents)
    }

    package func remove(_ path: String, recursive: Bool) async throws {
        try await guest.remove(path, recursive: recursive)
    }

    package func rename(_ from: String, to: String) async throws { try await guest.rename(from, to: to) }
    package func listen(port: UInt16) async throws -> any TunnelListener { try await guest.listen(port: port) }

    package func telemetry(every interval: Duration) async throws -> AsyncThrowingStream<TelemetrySample, any Error> {
        try guest.telemetry(every: interval)
    }
}
