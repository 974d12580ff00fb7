internal import CKVM
internal import LinuxSystem
internal import Synchronization

/// A pin of a machine's interrupt controllers. Any thread that may call `KVMRequest.interrupt`.
package final class InterruptLine: Sendable {
    private let machine: KVMMachine
    private let number: UInt32
    /// Held from the rise to the fall: a rise on a line that is up already is no edge.
    private let edge = Mutex(())

    init(_ machine: KVMMachine, _ number: UInt32) {
        self.machine = machine
        self.number = number
    }

    /// Raises the line and drops it again. The controllers have the edge when this returns; the kernel needs a thread of its own
    /// to bring one there from an event descriptor (`KVM_IRQFD`).
    package func pulse() {
        // Fails only for a machine that the kernel has given up, whose processors say so.
        _ = edge.withLock { _ in ckvm_pulse_line(machine.descriptor.rawValue, number) }
    }
}
