package import MachineMemory

/// How a device calls for its driver (virtio 1.2, sections 2.1 and 4.2.3.4). Any thread may ask and acknowledge; one that raises
/// must be allowed what `signal` does.
package final class VirtioInterrupt: Sendable {
    package struct Cause: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let usedBuffer = Cause(rawValue: 1)
        package static let configurationChange = Cause(rawValue: 2)
        static let all: Cause = [.usedBuffer, .configurationChange]
    }

    /// What a driver acknowledges by far most often.
    package static let usedBufferAcknowledgement = Cause.usedBuffer.rawValue

    private static let needsResetBit = MMIORegisters.Status.needsReset
    /// Keeps what is pending, and whether the device is broken, where the driver reads them.
    private let page: RegisterPage
    private let signal: @Sendable () -> Void

    /// `signal` reaches the guest with an edge. It is called on the thread that calls for the driver.
    package init(_ page: RegisterPage, signal: @escaping @Sendable () -> Void) {
        self.page = page
        self.signal = signal
    }

    package func raise(_ cause: Cause) {
        page.setBits(cause.rawValue, at: MMIORegisters.Offset.interruptStatus)
        signal()
    }

    package var status: UInt32 { page.load(at: MMIORegisters.Offset.interruptStatus) }

    package func acknowledge(_ causes: UInt32) {
        page.clearBits(causes, at: MMIORegisters.Offset.interruptStatus)
    }

    /// The device works no more until the driver resets it.
    package var needsReset: Bool { page.load(UInt32.self, at: MMIORegisters.Offset.status) & Self.needsResetBit != 0 }

    func requestReset() {
        page.setBits(Self.needsResetBit, at: MMIORegisters.Offset.status)
        raise(.configurationChange)
    }

    /// As a saved device had it. What the driver has not acknowledged may not have reached it.
    func restore(status: UInt32, needsReset: Bool) {
        clear()
        if needsReset { page.setBits(Self.needsResetBit, at: MMIORegisters.Offset.status) }
        page.setBits(status, at: MMIORegisters.Offset.interruptStatus)
        if status != 0 { signal() }
    }

    func clear() {
        page.clearBits(Self.needsResetBit, at: MMIORegisters.Offset.status)
        page.clearBits(.max, at: MMIORegisters.Offset.interruptStatus)
    }
}
