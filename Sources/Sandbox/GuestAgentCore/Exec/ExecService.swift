internal import GuestAPI
internal import LinuxSystem
internal import Primitives
internal import TTRPC

/// The execs of the box. Confined to the loop's thread.
final class ExecService {
    /// Detached execs that are over wait for a client to fetch their end; more of them push out the oldest.
    private static let keptEnds = 64

    private let loop: EventLoop
    private let launcher: ExecLauncher
    private var execs: [String: Exec] = [:]
    private var order: [String] = []
    private var nextID: UInt64 = 1

    init(on loop: EventLoop, settings: GuestAgentSettings) {
        self.loop = loop
        launcher = ExecLauncher(settings: settings, loop: loop)
    }

    var activeCount: Int { execs.values.count { !$0.isOver } }

    func exec(_ call: Call) throws(TTRPCStatus) {
        let input = try call.request(Voidbox_Guest_V1_ExecInput.self)
        switch input.kind {
        case .start(let start): try begin(start, call)
        case .attach(let id): try find(id).attach(call)
        default: throw TTRPCStatus(.invalidArgument, "an exec begins with `start` or `attach`")
        }
    }

    func list() -> Voidbox_Guest_V1_ListExecsResponse {
        var response = Voidbox_Guest_V1_ListExecsResponse()
        response.execs = order.compactMap { execs[$0] }.map { exec in
            var info = Voidbox_Guest_V1_ExecInfo()
            info.execID = exec.id
            info.pid = UInt32(clamping: exec.pid)
            info.argv = exec.arguments
            info.attached = exec.isAttached
            info.ageNanos = exec.age.wholeNanoseconds
            return info
        }
        return response
    }

    func signal(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_SignalExecRequest.self)
        try find(request.execID).signal(request.signal)
        call.finish(Voidbox_Guest_V1_Empty())
    }

    func killAll() {
        for exec in execs.values { exec.cancel() }
    }

    /// Reaps the leader of an exec.
    func claim(_ pid: Int32) -> Bool {
        guard let exec = execs.values.first(where: { $0.pid == pid && $0.isRunning }) else { return false }
        exec.collect()
        return !exec.isRunning
    }

    private func begin(_ start: Voidbox_Guest_V1_ExecStart, _ call: Call) throws(TTRPCStatus) {
        let id = "e\(nextID)"
        nextID += 1
        let timeout: Duration? = start.timeoutNanos == 0 ? nil : .nanoseconds(Int64(clamping: start.timeoutNanos))
        let process = try launcher.launch(start, id: id)
        let exec: Exec
        do throws(SyscallError) {
            exec = try Exec(
                id: id,
                arguments: start.argv,
                process: process,
                isDetached: start.detached,
                timeout: timeout,
                grace: launcher.settings.outputGrace,
                on: loop,
                onOver: { [weak self] in self?.forget($0) },
            )
        } catch {
            process.cage.kill()
            throw TTRPCStatus(error, on: "exec \(id)")
        }
        execs[id] = exec
        order.append(id)
        try exec.attach(call)
        dropOldestEnds()
    }

    private func find(_ id: String) throws(TTRPCStatus) -> Exec {
        guard let exec = execs[id] else {
            throw TTRPCStatus(.notFound, "there is no exec \(id.prefix(64).debugDescription)")
        }
        return exec
    }

    private func forget(_ exec: Exec) {
        guard execs.removeValue(forKey: exec.id) != nil else { return }
        order.removeAll { $0 == exec.id }
    }

    private func dropOldestEnds() {
        let over = order.compactMap { execs[$0] }.filter { $0.isOver && !$0.isAttached }
        for exec in over.dropLast(Self.keptEnds) {
            KernelLog.shared.info("exec \(exec.id) ended and nobody fetched its result: forgotten")
            forget(exec)
        }
    }
}
