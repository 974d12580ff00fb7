internal import LinuxSystem

/// The agent as the first process of a machine: boots it, serves the host, and ends the machine with the host's connection.
///
/// It never returns. Whatever goes wrong is said on the console and in the kernel's log, and the machine resets.
package enum FirstProcess {
    package static func run() -> Never {
        Machine.ignoreBrokenPipes()
        do {
            let settings = try Boot.run()
            let loop = try EventLoop()
            let children = WatchedDescriptor(try Orphans.signalDescriptor(), on: loop)
            let agent = GuestAgent(on: loop, settings: settings)
            children.ready = { [weak children] _ in
                // The signals say only that there is something to reap.
                _ = try? children?.fd.read(upTo: 4096)
                Orphans.reap { agent.claim($0) }
            }
            children.watch(for: .readable)
            try serve(agent, on: loop)
            try loop.run()
            KernelLog.shared.fatal("the event loop ended")
        } catch {
            KernelLog.shared.fatal("\(error)")
        }
        Machine.reset()
    }

    private static func serve(_ agent: GuestAgent, on loop: EventLoop) throws {
        let transport = try ControlChannel.open()
        KernelLog.shared.info("ready \(Machine.timeSinceBoot) after the kernel's start")
        try ConnectedPort.wait(for: transport, on: loop) { connected in
            do throws(SyscallError) {
                try agent.serve(connected) { reason in
                    // Without its host the box is of no use to anyone, and nobody else would end it.
                    KernelLog.shared.fatal("the control channel has ended: \(reason)")
                    Machine.reset()
                }
            } catch {
                KernelLog.shared.fatal("cannot serve the control channel: \(error)")
                Machine.reset()
            }
        }
    }
}

/// A virtio-console port reports a hang-up until the host has opened its end, level-triggered, so it is watched for edges.
private enum ConnectedPort {
    private static let edgeTriggered = EventLoop.Interest(rawValue: 1 << 31)

    private final class Holder {
        var descriptor: OwnedFD?
        var watch: EventLoop.Watch?
    }

    static func wait(
        for port: consuming OwnedFD,
        on loop: EventLoop,
        _ body: @escaping (consuming OwnedFD) -> Void,
    ) throws(SyscallError) {
        let holder = Holder()
        holder.watch = try loop.watch(port, for: [.readable, .writable, edgeTriggered]) { readiness in
            guard !readiness.contains(.hangUp), let port = holder.descriptor.take() else { return }
            if let watch = holder.watch { loop.remove(watch) }
            body(port)
        }
        holder.descriptor = consume port
    }
}
