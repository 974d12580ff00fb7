package import LinuxSystem
package import MachineMemory

/// A device, apart from how the guest reaches it. Confined to the thread of its loop.
package protocol VirtioDevice: AnyObject {
    /// What it remembers beyond its queues and the guest's memory.
    associatedtype State: SavedState = NothingSaved

    /// The driver is ready. A queue that it did not set up is nil.
    func activate(_ queues: [VirtQueue?], features: VirtioFeatures) throws
    /// The driver put something into a queue, or may have.
    func notified(queue: Int) throws
    /// Back to what it was before `activate`: no request is under way when this returns.
    func reset()
    /// Of a device with a driver, between two events of its loop: no request is under way.
    func save() -> State
    /// Called right after `activate` of a device that goes on where another stood. Throws if it could not have been there.
    func restore(_ state: State) throws
}

extension VirtioDevice where State == NothingSaved {
    package func save() -> State { NothingSaved() }
    package func restore(_ state: State) {}
}

extension VirtioDevice {
    var encodedState: [UInt8] { save().encoded }
    func restore(decoding bytes: [UInt8]) throws { try restore(State(decoding: bytes)) }
}

/// What the guest may know of a device before it talks to it.
package struct VirtioDeviceDescription: Sendable {
    package var kind: VirtioDeviceKind
    package var features: VirtioFeatures
    /// Largest size of each queue.
    package var queueSizes: [UInt16]
    /// The device's configuration (its section of chapter 5), at first.
    package var configuration: [UInt8]
    /// Of the configuration, what the driver may write.
    package var writableConfiguration: Range<Int>

    package init(
        kind: VirtioDeviceKind,
        features: VirtioFeatures = [],
        queueSizes: [UInt16],
        configuration: [UInt8] = [],
        writableConfiguration: Range<Int> = 0..<0,
    ) {
        self.kind = kind
        self.features = features.union(.transport)
        self.queueSizes = queueSizes
        self.configuration = configuration
        self.writableConfiguration = writableConfiguration
    }
}

/// What a device is made with, on the thread of its loop.
package struct VirtioDeviceContext {
    package let loop: EventLoop
    package let memory: GuestMemory
    package let interrupt: VirtioInterrupt
    /// As the driver sees it now; made from the description's.
    package let configuration: ConfigurationSpace
    private let failure = Failure()

    package init(
        loop: EventLoop,
        memory: GuestMemory,
        interrupt: VirtioInterrupt,
        configuration: ConfigurationSpace,
    ) {
        self.loop = loop
        self.memory = memory
        self.interrupt = interrupt
        self.configuration = configuration
    }

    private final class Failure {
        var heard: (any Error) -> Void = { _ in }
    }

    /// Who ends the device when it fails.
    func onFailure(_ body: @escaping (any Error) -> Void) {
        failure.heard = body
    }

    /// Serves an event of the host's side. What is thrown ends the device, as what `notified` throws does.
    package func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            failure.heard(error)
        }
    }
}

extension VirtioDeviceContext {
    /// Serves every request of a queue, until there is none, and tells the driver.
    ///
    /// `serve` returns how many bytes it wrote, or nil to leave the request and all behind it for later.
    package func drain(_ queue: VirtQueue, _ serve: (DescriptorChain) throws -> Int?) throws {
        var isBlocked = false
        repeat {
            while !isBlocked, let chain = try queue.next() {
                if let written = try serve(chain) {
                    queue.finish(chain, written: written)
                } else {
                    queue.putBack()
                    isBlocked = true
                }
            }
        } while !isBlocked && queue.awaitRequest()
        tell(of: queue)
    }

    /// Tells the driver of what was finished, if it wants to hear.
    package func tell(of queue: VirtQueue) {
        if queue.takesInterrupt() { interrupt.raise(.usedBuffer) }
    }
}
