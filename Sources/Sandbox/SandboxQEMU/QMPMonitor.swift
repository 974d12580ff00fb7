internal import FoundationEssentials
internal import LinuxSystem
internal import Primitives
internal import Synchronization

/// A message of QEMU's machine protocol: https://www.qemu.org/docs/master/interop/qmp-spec.html
enum QMPMessage: Equatable {
    case greeting(version: String)
    case returned(JSONValue)
    case failed(class: String, description: String)
    case event(name: String, data: JSONValue?)

    /// Nil for a line that is none of these.
    init?(parsing line: ArraySlice<UInt8>) {
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(line)) else { return nil }
        if let greeting = value["QMP"] {
            let numbers = greeting["version"]?["qemu"]
            let parts = ["major", "minor", "micro"].map { numbers?[$0]?.integerValue.map(String.init) ?? "?" }
            self = .greeting(version: parts.joined(separator: "."))
        } else if let name = value["event"]?.stringValue {
            self = .event(name: name, data: value["data"])
        } else if let error = value["error"] {
            self = .failed(class: error["class"]?.stringValue ?? "", description: error["desc"]?.stringValue ?? "")
        } else if let result = value["return"] {
            self = .returned(result)
        } else {
            return nil
        }
    }
}

/// The monitor of one QEMU: tells whether the program is one.
/// Any thread; guarded by `state`.
final class QMPMonitor: Sendable {
    /// A line is short; a peer that never ends one is not QEMU.
    private static let maxLineLength = 1 << 20

    private struct State {
        var pending: [UInt8] = []
        var hasGreeted = false
    }

    private let descriptor: OwnedFD
    private let state = Mutex(State())

    init(adopting descriptor: consuming OwnedFD, on thread: EventLoopThread) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        thread.submit { [self] loop in
            // Without the monitor the machine still runs and still ends: it is only told less politely.
            try? loop.whileReadable(self.descriptor, drain)
        }
        send("qmp_capabilities")
    }

    /// Whether the other side is QEMU.
    var hasGreeted: Bool { state.withLock { $0.hasGreeted } }

    private func send(_ command: String) {
        // A few bytes always fit into the socket's buffer, and a QEMU that is gone needs no telling.
        _ = try? descriptor.write(Array("{\"execute\":\"\(command)\"}\n".utf8)[...])
    }

    private func drain() -> Bool {
        guard let outcome = try? descriptor.read(upTo: 65536) else { return false }
        switch outcome {
        case .wouldBlock: return true
        case .endOfFile: return false
        case .bytes(let bytes):
            return state.withLock { state in
                state.pending += bytes
                while let end = state.pending.firstIndex(of: 0x0A) {
                    if case .greeting = QMPMessage(parsing: state.pending[..<end]) { state.hasGreeted = true }
                    state.pending.removeSubrange(...end)
                }
                return state.pending.count <= Self.maxLineLength
            }
        }
    }
}
