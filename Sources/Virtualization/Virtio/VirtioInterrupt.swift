package import LinuxSystem
internal import Synchronization

/// How a device calls for its driver (virtio 1.2, sections 2.1 and 4.2.3.4). Any thread.
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

    /// Rung for each interrupt.
    package let bell: Doorbell
    private let pending = Atomic<UInt32>(0)
    private let broken = Atomic<Bool>(false)

    package init() throws(SyscallError) {
        bell = try Doorbell()
    }

    package func raise(_ cause: Cause) {
        pending.bitwiseOr(cause.rawValue, ordering: .acquiringAndReleasing)
        bell.ring()
    }

    package var status: UInt32 { pending.load(ordering: .acquiring) }

    package func acknowledge(_ causes: UInt32) {
        pending.bitwiseAnd(~causes, ordering: .acquiringAndReleasing)
    }

    /// The device works no more until the driver resets it.
    package var needsReset: Bool { broken.load(ordering: .acquiring) }

    func requestReset() {
        broken.store(true, ordering: .releasing)
        raise(.configurationChange)
    }

    /// As a saved device had it. What the driver has not acknowledged may not have reached it.
    func restore(status: UInt32, needsReset: Bool) {
        broken.store(needsReset, ordering: .releasing)
        pending.store(status, ordering: .releasing)
        if status != 0 { bell.ring() }
    }

    func clear() {
        broken.store(false, ordering: .releasing)
        pending.store(0, ordering: .releasing)
    }
}
