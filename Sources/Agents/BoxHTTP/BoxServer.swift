package import Logging
package import Sandboxing

/// Serves HTTP to the programs of one box, on a port of the box's own loopback, until it is closed or the box ends.
package final class BoxServer: Sendable {
    package let port: UInt16
    private let server: TunnelServer
    private let task: Task<Void, Never>

    package init(
        _ listener: any TunnelListener,
        limits: BoxServerLimits = BoxServerLimits(),
        logger: Logger,
        onRefusal: @escaping @Sendable () -> Void = {},
        respond: @escaping BoxResponder,
    ) {
        port = listener.port
        let server = TunnelServer(
            listener: listener,
            limits: limits,
            logger: logger,
            onRefusal: onRefusal,
            respond: respond,
        )
        self.server = server
        task = Task { await server.run() }
    }

    deinit {
        task.cancel()
    }

    /// The address as the box sees it: `http://127.0.0.1:PORT`.
    package var guestBaseURL: String { "http://127.0.0.1:\(port)" }

    /// Stops listening in the guest and cuts what is under way. Idempotent.
    package func close() async {
        task.cancel()
        await server.listener.close()
        await task.value
    }
}
