internal import KVM
internal import Virtio

/// Where a processor's accesses go that the kernel does not answer. Any thread.
final class SystemBus: MachineBus, Sendable {
    /// Devices begin where the memory below 4 GiB ends.
    static let deviceBase: UInt64 = 0xD000_0000
    private static let keyboardController: UInt16 = 0x64
    /// The command by which a PC pulls its own reset line.
    private static let pulseReset: UInt8 = 0xFE

    private let serial: SerialPort
    private let windows: [MMIOTransport]
    private let reset: @Sendable () -> Void

    /// `windows` lie one behind the other from `deviceBase`.
    init(serial: SerialPort, windows: [MMIOTransport], reset: @escaping @Sendable () -> Void) {
        self.serial = serial
        self.windows = windows
        self.reset = reset
    }

    func readPort(_ port: UInt16, count: Int) -> UInt32 {
        if count == 1, SerialPort.ports.contains(port) { return UInt32(serial.read(port)) }
        // The controller takes commands at any time; nothing else is there, and an empty bus reads as ones.
        return port == Self.keyboardController ? 0 : .max >> (32 - 8 * UInt32(count))
    }

    func writePort(_ port: UInt16, _ value: UInt32, count: Int) {
        guard count == 1 else { return }
        let value = UInt8(truncatingIfNeeded: value)
        if SerialPort.ports.contains(port) {
            serial.write(port, value)
        } else if port == Self.keyboardController, value == Self.pulseReset {
            reset()
        }
    }

    /// Nothing is there: what can be read of the windows is memory of the machine.
    func read(_ address: UInt64, count: Int) -> UInt64 { .max >> (64 - 8 * UInt64(count)) }

    func write(_ address: UInt64, _ value: UInt64, count: Int) {
        guard let (window, offset) = window(address) else { return }
        window.write(offset, value, count: count)
    }

    private func window(_ address: UInt64) -> (MMIOTransport, offset: UInt64)? {
        guard address >= Self.deviceBase else { return nil }
        let (index, offset) = (address - Self.deviceBase).quotientAndRemainder(dividingBy: MMIOTransport.windowSize)
        guard let index = Int(exactly: index), windows.indices.contains(index) else { return nil }
        return (windows[index], offset)
    }
}
