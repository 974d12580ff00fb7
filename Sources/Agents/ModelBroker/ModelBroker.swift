internal import BoxHTTP
package import Logging
package import ModelProviders
package import Primitives
package import Sandboxing

/// Carries the model calls of boxes to a model's endpoint, adds the real key, and counts what they cost.
///
/// A box reaches it over a tunnel from its own loopback: nothing listens on the host. Each box has a token of its own,
/// which stands where the key would.
package actor ModelBroker {
    private let handler: RequestHandler
    private let limits: ModelBrokerLimits
    private let logger: Logger
    private var attachments: [BrokerAttachment] = []
    private var isClosed = false

    /// - Parameter onFirstFailure: called once, when a call to the model has failed for the first time, and awaited before
    ///   the guest hears of it: an agent may try again for minutes without a word.
    /// - Throws: `ModelScriptError` where the provider's script cannot be read.
    package static func start(
        provider: ModelProvider,
        limits: ModelBrokerLimits = ModelBrokerLimits(),
        logger: Logger,
        onFirstFailure: @escaping @Sendable (ModelFailure) async -> Void = { _ in },
    ) async throws -> ModelBroker {
        let upstream: any ModelUpstream
        switch provider.source {
        case .endpoint(let endpoint):
            upstream = EndpointUpstream(endpoint, limits: limits)
        case .script(let path):
            upstream = ScriptedUpstream(try ModelScript(readingFrom: path), name: path)
        }
        let handler = RequestHandler(
            upstream: upstream,
            ledger: UsageLedger(provider),
            secret: provider.secret,
            limits: limits,
            logger: logger,
            onFirstFailure: onFirstFailure,
        )
        return ModelBroker(handler, limits: limits, logger: logger)
    }

    private init(_ handler: RequestHandler, limits: ModelBrokerLimits, logger: Logger) {
        self.handler = handler
        self.limits = limits
        self.logger = logger
    }

    /// Opens a port on the guest's loopback and serves it until the attachment is closed or the box ends.
    package func attach(to sandbox: any SandboxInstance) async throws -> BrokerAttachment {
        guard !isClosed else { throw ModelBrokerClosed() }
        let listener = try await sandbox.listen(port: 0)
        guard !isClosed else {
            await listener.close()
            throw ModelBrokerClosed()
        }
        let token = BoxToken()
        var logger = logger
        logger[metadataKey: "sandbox.name"] = "\(sandbox.identity.name)"
        let server = BoxServer(
            listener,
            limits: BoxServerLimits(maxConnections: limits.maxConnections, lingerTimeout: limits.lingerTimeout),
            logger: logger,
            onRefusal: { [handler] in handler.ledger.refused(.tooManyConnections) },
            respond: { [handler] request, writer, connection in
                try await handler.respond(to: request, token: token, writer: writer, on: connection)
            },
        )
        let attachment = BrokerAttachment(server, token: token.value)
        attachments.append(attachment)
        logger.debug("model broker attached", metadata: ["guest.port": "\(listener.port)"])
        return attachment
    }

    /// What all boxes together have asked so far.
    package var usage: ModelUsage { handler.ledger.usage }

    /// Cuts what is under way and returns when nothing of it is left. Idempotent.
    package func close() async {
        guard !isClosed else { return }
        isClosed = true
        for attachment in attachments { await attachment.close() }
        attachments = []
        await handler.upstream.close()
    }
}

package struct ModelBrokerClosed: Error, CustomStringConvertible {
    package var description: String { "the model broker is closed" }
}

/// One box's way to its model.
package final class BrokerAttachment: Sendable {
    /// What the agent in the guest calls: `http://127.0.0.1:PORT`.
    package let guestBaseURL: String
    /// What it says there instead of a key.
    package let token: Secret<String>
    private let server: BoxServer

    init(_ server: BoxServer, token: Secret<String>) {
        guestBaseURL = server.guestBaseURL
        self.token = token
        self.server = server
    }

    /// Stops listening in the guest and cuts what is under way. Idempotent.
    package func close() async {
        await server.close()
    }
}

extension ModelProvider {
    /// The key, to keep it out of messages that repeat what an endpoint said.
    fileprivate var secret: Secret<String>? {
        guard case .endpoint(let endpoint) = source else { return nil }
        return endpoint.credential.secret
    }
}
