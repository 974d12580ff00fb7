internal import GuestAPI
package import LinuxSystem
internal import Primitives
internal import SwiftProtobuf
internal import TTRPC

/// Answers the host's calls. Confined to the loop's thread; every service is.
package final class GuestAgent {
    package static let version = "0.1.0"
    private static let service = "voidbox.guest.v1.Guest"

    private let loop: EventLoop
    private let settings: GuestAgentSettings
    private let execs: ExecService
    private let files: FileService
    private let tunnels: TunnelService
    private let telemetry: TelemetryService
    private var connection: TTRPCServerConnection?

    package init(on loop: EventLoop, settings: GuestAgentSettings) {
        self.loop = loop
        self.settings = settings
        execs = ExecService(on: loop, settings: settings)
        files = FileService(on: loop, roots: settings.fileRoots)
        tunnels = TunnelService(on: loop)
        telemetry = TelemetryService(on: loop)
    }

    /// Serves one connection. When it ends, every exec that was not detached is killed, and `onClose` is told why.
    package func serve(_ transport: consuming OwnedFD, onClose: @escaping (String) -> Void) throws(SyscallError) {
        connection = try TTRPCServerConnection(
            adopting: transport,
            on: loop,
            handler: { [weak self] in self?.answer($0) },
            onClose: { [weak self] end in
                self?.connection = nil
                onClose("\(end)")
            },
        )
    }

    package var activeExecs: Int { execs.activeCount }

    /// Reaps a child that is the leader of an exec. False if it is none.
    package func claim(_ pid: Int32) -> Bool { execs.claim(pid) }

    private func answer(_ incoming: TTRPCServerCall) {
        let call = Call(incoming)
        do throws(TTRPCStatus) {
            guard incoming.method.service == Self.service else { throw unknown(incoming.method) }
            try dispatch(incoming.method, call)
        } catch {
            call.fail(error)
        }
    }

    private func dispatch(_ method: TTRPCMethod, _ call: Call) throws(TTRPCStatus) {
        switch method.name {
        case "Health": call.finish(health())
        case "SetClock": try setClock(call)
        case "Shutdown": shutDown(call)
        case "Exec": try execs.exec(call)
        case "ListExecs": call.finish(execs.list())
        case "SignalExec": try execs.signal(call)
        case "ReadFile": try files.read(call)
        case "WriteFile": try files.write(call)
        case "Stat": try files.stat(call)
        case "ListDirectory": try files.list(call)
        case "MakeDirectory": try files.makeDirectory(call)
        case "Remove": try files.remove(call)
        case "Rename": try files.rename(call)
        case "Listen": try tunnels.listen(call)
        case "Tunnel": try tunnels.tunnel(call)
        case "Telemetry": try telemetry.stream(call)
        default: throw unknown(method)
        }
    }

    private func unknown(_ method: TTRPCMethod) -> TTRPCStatus {
        TTRPCStatus(.unimplemented, "\(method): this agent (\(Self.version)) has no such method")
    }

    private func health() -> Voidbox_Guest_V1_HealthResponse {
        var health = Voidbox_Guest_V1_HealthResponse()
        health.agentVersion = Self.version
        health.uptimeNanos = Machine.timeSinceBoot.wholeNanoseconds
        health.residentBytes = Machine.residentMemory
        health.activeExecs = UInt32(clamping: execs.activeCount)
        health.processors = UInt32(clamping: Machine.processors)
        health.memoryTotalBytes = Machine.memoryTotal
        health.warnings = settings.warnings
        return health
    }

    private func setClock(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_SetClockRequest.self)
        try requireMachine()
        do throws(SyscallError) {
            try Machine.setClock(unixNanoseconds: request.unixNanos)
        } catch {
            throw TTRPCStatus(error, on: "the clock")
        }
        call.finish(Voidbox_Guest_V1_Empty())
    }

    private func shutDown(_ call: Call) {
        do throws(TTRPCStatus) {
            try requireMachine()
        } catch {
            return call.fail(error)
        }
        execs.killAll()
        call.finish(Voidbox_Guest_V1_Empty())
        // After this turn, in which the answer is written.
        _ = loop.schedule(after: .zero) { Machine.reset() }
    }

    private func requireMachine() throws(TTRPCStatus) {
        if Machine.isFirstProcess { return }
        throw TTRPCStatus(.failedPrecondition, "this agent is not the first process of a machine of its own")
    }
}
