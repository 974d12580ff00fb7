internal import LinuxSystem
internal import Synchronization

/// The guest kernel's console: the transmitting half of a 16550 UART, which is all that a console that nobody types on
/// needs. Any thread; guarded by `state`.
final class SerialPort: Sendable {
    static let ports: ClosedRange<UInt16> = 0x3F8...0x3FF
    static let interruptLine: UInt32 = 4

    private enum Register {
        static let data: UInt16 = 0
        static let interruptEnable: UInt16 = 1
        static let interruptIdentification: UInt16 = 2
        static let lineControl: UInt16 = 3
        static let modemControl: UInt16 = 4
        static let lineStatus: UInt16 = 5
        static let modemStatus: UInt16 = 6
        static let scratch: UInt16 = 7
    }

    private struct State {
        var registers = [UInt8](repeating: 0, count: 8)
        var divisor: [UInt8] = [12, 0]
        var isEmptyPending = false
        var line: [UInt8] = []
        /// Bytes that the reader was too slow for.
        var dropped = 0

        mutating func dropLine() {
            dropped += line.count
            line.removeAll(keepingCapacity: true)
        }
    }

    private static let transmitterEmpty: UInt8 = 2
    /// What is written at once; a line is usually shorter.
    private static let maxLine = 512

    let interrupt: Doorbell
    private let output: OwnedFD
    private let state = Mutex(State())

    /// `output` is not blocking: a guest that writes without end does not wait, and does not fill the host either.
    init(output: consuming OwnedFD) throws(SyscallError) {
        try output.setNonBlocking()
        self.output = output
        interrupt = try Doorbell()
    }

    func read(_ port: UInt16) -> UInt8 {
        state.withLock { state in
            let register = port - Self.ports.lowerBound
            let isLatched = state.registers[Int(Register.lineControl)] & 0x80 != 0
            switch register {
            case Register.data: return isLatched ? state.divisor[0] : 0
            case Register.interruptEnable where isLatched: return state.divisor[1]
            case Register.interruptIdentification:
                defer { state.isEmptyPending = false }
                return state.isEmptyPending ? 0x02 : 0x01
            case Register.lineStatus: return 0x60  // The transmitter is always empty.
            case Register.modemStatus: return 0xB0  // Carrier, ready, clear to send.
            default: return state.registers[Int(register)]
            }
        }
    }

    func write(_ port: UInt16, _ value: UInt8) {
        let raises = state.withLock { state -> Bool in
            let register = port - Self.ports.lowerBound
            let isLatched = state.registers[Int(Register.lineControl)] & 0x80 != 0
            switch register {
            case Register.data where isLatched: state.divisor[0] = value
            case Register.interruptEnable where isLatched: state.divisor[1] = value
            case Register.data:
                append(value, to: &state)
                return Self.announceEmpty(&state)
            case Register.interruptEnable:
                state.registers[Int(register)] = value & 0x0F
                return Self.announceEmpty(&state)
            case Register.lineStatus, Register.modemStatus, Register.interruptIdentification: break
            default: state.registers[Int(register)] = value
            }
            return false
        }
        if raises { interrupt.ring() }
    }

    /// What is left of an unfinished line.
    func flush() {
        state.withLock { emit(&$0) }
    }

    private static func announceEmpty(_ state: inout State) -> Bool {
        guard state.registers[Int(Register.interruptEnable)] & transmitterEmpty != 0 else { return false }
        state.isEmptyPending = true
        return true
    }

    private func append(_ byte: UInt8, to state: inout State) {
        state.line.append(byte)
        if byte == 0x0A || state.line.count >= Self.maxLine { emit(&state) }
    }

    private func emit(_ state: inout State) {
        if state.line.isEmpty { return }
        if state.dropped > 0 {
            let note = Array("[\(state.dropped) bytes of console output were dropped]\n".utf8)
            guard transmit(note) else { return state.dropLine() }
            state.dropped = 0
        }
        guard transmit(state.line) else { return state.dropLine() }
        state.line.removeAll(keepingCapacity: true)
    }

    /// False if the reader does not keep up, or is gone.
    private func transmit(_ bytes: [UInt8]) -> Bool {
        do throws(SyscallError) {
            return try output.write(bytes[...]) == .wrote(bytes.count)
        } catch {
            return false
        }
    }
}
