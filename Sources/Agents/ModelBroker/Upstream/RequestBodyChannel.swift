internal import AsyncAlgorithms
internal import HummingbirdCore
internal import NIOCore
internal import Synchronization

/// Hands a request's body from the guest's connection to the endpoint's, piece by piece, at the pace of the slower one.
///
/// The guest's side is read by one task until the end of the body, whatever becomes of the endpoint: what the endpoint does
/// not want is thrown away, so that the connection can be used again.
final class RequestBodyChannel: Sendable {
    struct TooBig: Error {}

    /// From the request's `Content-Length`, where it has one.
    let length: Int64?
    let limit: Int
    private let exceeded = Atomic(false)
    private let channel = AsyncThrowingChannel<ByteBuffer, any Error>()

    init(length: Int64?, limit: Int) {
        self.length = length
        self.limit = limit
    }

    var chunks: AsyncThrowingChannel<ByteBuffer, any Error> { channel }

    /// The client that reads the chunks may wrap the error that it got instead of one.
    var isTooBig: Bool { exceeded.load(ordering: .acquiring) }

    /// Reads the body to its end.
    func fill(from body: RequestBody) async {
        var count = 0
        do {
            for try await chunk in body {
                count += chunk.readableBytes
                if count > limit {
                    exceeded.store(true, ordering: .releasing)
                    channel.fail(TooBig())
                } else {
                    await channel.send(chunk)
                }
            }
            channel.finish()
        } catch {
            channel.fail(error)
        }
    }

    /// From now on the rest is thrown away.
    func discardRest() {
        channel.finish()
    }
}
