package import LinuxSystem
package import MachineMemory
internal import Synchronization

/// The window through which a guest reaches one device: virtio over MMIO, version 2 (virtio 1.2, section 4.2).
///
/// The guest reads `page`. Processors' threads write the registers; guarded by `registers`. The device lives on the thread of
/// its loop and is only ever touched there.
package final class MMIOTransport: Sendable {
    package static let windowSize = UInt64(RegisterPage.size)
    /// A write of a queue's number here tells the device that the queue has something. `kicks` may be rung instead.
    package static let notifyOffset = UInt64(MMIORegisters.Offset.queueNotify)
    /// A write of `VirtioInterrupt.usedBufferAcknowledgement` here may be left out: the driver's next look at the interrupt
    /// status then finds the bit still set, and no request.
    package static let acknowledgeOffset = UInt64(MMIORegisters.Offset.interruptAcknowledge)

    private let description: VirtioDeviceDescription
    private let registers: Mutex<MMIORegisters>
    /// Held while a register is written and the device is told: where two processors write, the device hears of the writes in
    /// the order in which the registers had them. Else it might serve a driver that has reset it.
    private let order = Mutex(())
    private let thread: EventLoopThread
    private let life: LoopConfined<DeviceLife>
    package let page: RegisterPage
    package let interrupt: VirtioInterrupt
    package let configuration: ConfigurationSpace
    package let kicks: [Kick]

    /// Rung when the guest has put something into a queue.
    package final class Kick: Sendable {
        package let bell: Doorbell
        init() throws(SyscallError) { bell = try Doorbell() }
    }

    /// Makes the device on `thread` and blocks until it is made. `signal` brings its interrupts to the guest, from that thread
    /// as a rule; `report` hears of a driver that breaks the rules.
    package init(
        _ description: VirtioDeviceDescription,
        on thread: EventLoopThread,
        memory: GuestMemory,
        signal: @escaping @Sendable () -> Void,
        report: @escaping @Sendable (any Error) -> Void,
        make: @escaping @Sendable (VirtioDeviceContext) throws -> any VirtioDevice,
    ) throws {
        self.description = description
        let page = try RegisterPage()
        let configuration = ConfigurationSpace(
            description.configuration,
            writable: description.writableConfiguration,
            in: page,
        )
        let interrupt = VirtioInterrupt(page, signal: signal)
        let kicks = try description.queueSizes.map { _ throws(SyscallError) in try Kick() }
        registers = Mutex(MMIORegisters(description))
        self.thread = thread
        self.page = page
        self.interrupt = interrupt
        self.configuration = configuration
        self.kicks = kicks
        life = try thread.runBlocking { loop in
            let context = VirtioDeviceContext(
                loop: loop,
                memory: memory,
                interrupt: interrupt,
                configuration: configuration,
            )
            let life = DeviceLife(try make(context), context, report: report)
            for (queue, kick) in kicks.enumerated() {
                try life.watch(kick.bell, queue: queue) { kick.bell.answer() }
            }
            return LoopConfined(life, to: loop)
        }
        publish(registers.withLock { $0 })
    }

    /// A write of `count` bytes at an offset of the window. What is not a register, and what is not allowed now, is ignored.
    package func write(_ offset: UInt64, _ value: UInt64, count: Int) {
        guard let offset = Int(exactly: offset) else { return }
        if offset >= MMIORegisters.Offset.configuration {
            return configuration.write(offset - MMIORegisters.Offset.configuration, value, count: count)
        }
        guard count == 4, offset % 4 == 0 else { return }
        let value = UInt32(truncatingIfNeeded: value)
        switch offset {
        case MMIORegisters.Offset.queueNotify:
            if let queue = Int(exactly: value), kicks.indices.contains(queue) { kicks[queue].bell.ring() }
        case MMIORegisters.Offset.interruptAcknowledge: interrupt.acknowledge(value)
        default:
            order.withLock { _ in
                let (action, registers) = registers.withLock { ($0.write(offset, value), $0) }
                perform(action)
                publish(registers)
            }
        }
    }

    /// Shows the guest what the registers are after a write.
    private func publish(_ registers: MMIORegisters) {
        for offset in MMIORegisters.readable { page.store(registers.read(offset), at: offset) }
        // The device sets a bit of its own there meanwhile. Otherwise bits are only added, until a reset, after which the
        // device is still until the next write.
        let status = registers.read(MMIORegisters.Offset.status)
        if status == 0 {
            page.clearBits(.max, at: MMIORegisters.Offset.status)
        } else {
            page.setBits(status, at: MMIORegisters.Offset.status)
        }
    }

    private func perform(_ action: MMIORegisters.Action) {
        switch action {
        case .none: break
        case .activate(let queues, let features):
            thread.submit { [life] loop in life.get(on: loop).activate(queues, features) }
        case .reset:
            // The driver may use the memory of its requests as soon as the write is done, so this waits for the device.
            // Nothing in it throws.
            try? thread.runBlocking { [life] loop in life.get(on: loop).reset() }
        }
    }

    // MARK: Saved state

    /// See `State` for when. Blocks until the device's thread has answered.
    package func save() throws -> State {
        let saved = try thread.runBlocking { [life] loop in
            precondition(loop.isSuspended, "a device is saved while nothing happens to it")
            return life.get(on: loop).save()
        }
        var registers = registers.withLock { $0.state }
        if let saved {
            for (index, queue) in saved.queues.enumerated() {
                if let queue { registers.queues[index] = queue }
            }
        }
        return State(
            kind: description.kind.rawValue,
            configuration: description.configuration,
            writtenConfiguration: configuration.written,
            configurationGeneration: configuration.generation,
            registers: registers,
            interruptStatus: interrupt.status,
            needsReset: interrupt.needsReset,
            device: saved?.device,
        )
    }

    /// Goes on where another device stood; see `State`. For a new device, once; after an error it is of no use any more.
    package func restore(_ state: State) throws {
        try state.check(against: description)
        let restored = try MMIORegisters(description, restoring: state.registers)
        registers.withLock { $0 = restored }
        publish(restored)
        configuration.restore(written: state.writtenConfiguration, generation: state.configurationGeneration)
        let features = VirtioFeatures(rawValue: state.registers.driverFeatures)
        try thread.runBlocking { [life, interrupt] loop in
            interrupt.restore(status: state.interruptStatus, needsReset: state.needsReset)
            if let device = state.device { try life.get(on: loop).restore(state.registers.queues, features, device) }
        }
    }
}
