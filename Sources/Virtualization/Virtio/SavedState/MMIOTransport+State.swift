extension MMIOTransport {
    /// A device and the window to it, between two of the guest's instructions.
    ///
    /// **When it may be saved.** The processors are stopped; then the threads of the device loops are suspended
    /// (`EventLoopThread.suspend`), in any order. A device serves a request within one event of its loop, so that in between
    /// none is under way; what it could not finish it has put back into its queue, and what it knows of that is in its state.
    /// For every queue as many requests were given back as were taken. Now the states and the guest's memory are one moment,
    /// until the loops are resumed.
    ///
    /// **How it is restored.** Into a new device of the same description that no driver has touched, over memory that was
    /// restored before. Every queue is served then as if its driver had kicked, and an interrupt that the driver had not
    /// acknowledged is raised again: what of both was on its way does not count.
    ///
    /// What lies outside, such as the peers of sockets, is whatever it is when the new device is made.
    package struct State: SavedState {
        package static let version: UInt16 = 1
        /// More than any device has.
        private static let maxConfiguration = 4096
        private static let maxDevice = 1 << 20

        package var kind: UInt32
        /// As the device began with it: the new one must begin with the same. What the device has changed since is in its
        /// state.
        package var configuration: [UInt8]
        /// Of the configuration, what the driver may write.
        package var writtenConfiguration: [UInt8]
        package var configurationGeneration: UInt32
        package var registers: MMIORegisters.State
        package var interruptStatus: UInt32
        package var needsReset: Bool
        /// The device's own state, encoded; nil where there is none, as before the driver is ready.
        package var device: [UInt8]?

        package func write(to writer: inout SavedStateWriter) {
            writer.append(kind)
            writer.append(configuration)
            writer.append(writtenConfiguration)
            writer.append(configurationGeneration)
            writer.append(registers)
            writer.append(interruptStatus)
            writer.append(needsReset)
            writer.append(device != nil)
            if let device { writer.append(device) }
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            kind = try reader.integer()
            configuration = try reader.bytes(limit: Self.maxConfiguration)
            writtenConfiguration = try reader.bytes(limit: Self.maxConfiguration)
            configurationGeneration = try reader.integer()
            registers = try reader.state()
            interruptStatus = try reader.integer()
            needsReset = try reader.boolean()
            device = try reader.boolean() ? try reader.bytes(limit: Self.maxDevice) : nil
        }

        package init(
            kind: UInt32,
            configuration: [UInt8],
            writtenConfiguration: [UInt8],
            configurationGeneration: UInt32,
            registers: MMIORegisters.State,
            interruptStatus: UInt32,
            needsReset: Bool,
            device: [UInt8]?,
        ) {
            self.kind = kind
            self.configuration = configuration
            self.writtenConfiguration = writtenConfiguration
            self.configurationGeneration = configurationGeneration
            self.registers = registers
            self.interruptStatus = interruptStatus
            self.needsReset = needsReset
            self.device = device
        }

        /// Whether the device has a driver that it serves.
        var isActive: Bool { registers.status & MMIORegisters.Status.driverOK != 0 && !needsReset }
    }
}

/// A state that the device it is meant for could never have been in.
package enum RestoreViolation: Error, Hashable, Sendable {
    case kind(UInt32, device: UInt32)
    case configuration(saved: [UInt8], device: [UInt8])
    case writtenConfiguration(count: Int)
    case status(UInt32)
    case features(UInt64, offered: UInt64)
    case queueCount(Int, device: Int)
    case queueSize(UInt16, queue: Int)
    /// A queue without a driver that was served, or one with requests under way.
    case queuePosition(available: UInt16, used: UInt16, queue: Int)
    case interruptStatus(UInt32)
    /// A device is saved with its state just when it has a driver.
    case deviceState(isThere: Bool)
}

extension MMIOTransport.State {
    /// Whether a device of this description could be in this state. Addresses of queues are checked with the memory, and
    /// the device's own state by the device.
    package func check(against description: VirtioDeviceDescription) throws(RestoreViolation) {
        guard kind == description.kind.rawValue else { throw .kind(kind, device: description.kind.rawValue) }
        guard configuration == description.configuration else {
            throw .configuration(saved: configuration, device: description.configuration)
        }
        guard writtenConfiguration.count == description.writableConfiguration.count else {
            throw .writtenConfiguration(count: writtenConfiguration.count)
        }
        try registers.check(against: description)
        guard interruptStatus & ~VirtioInterrupt.Cause.all.rawValue == 0 else {
            throw .interruptStatus(interruptStatus)
        }
        guard (device != nil) == isActive else { throw .deviceState(isThere: device != nil) }
    }
}
