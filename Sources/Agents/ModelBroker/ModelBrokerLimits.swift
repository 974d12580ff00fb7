package import Primitives

/// What a guest may ask of the broker, and how long the broker waits for a model's endpoint.
package struct ModelBrokerLimits: Hashable, Sendable {
    /// As much as Anthropic's endpoint takes.
    package var maxRequestBody = ByteCount.mebibytes(32)
    /// Of one box, at a time. An agent with its sub-agents uses a handful.
    package var maxConnections = 256
    package var connectTimeout = Duration.seconds(10)
    /// Without a byte from the endpoint. A long answer that is not streamed is silent for minutes.
    package var idleTimeout = Duration.seconds(600)
    /// How long a guest that does not read may keep a connection that the broker has ended.
    package var lingerTimeout = Duration.seconds(5)

    package init() {}
}
