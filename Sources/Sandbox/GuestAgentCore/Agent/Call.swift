internal import GuestAPI
internal import SwiftProtobuf
internal import TTRPC

/// One call of the host: TTRPC's call, with messages for bytes. Confined to the loop's thread.
final class Call {
    private let call: TTRPCServerCall
    private var isOver = false

    init(_ call: TTRPCServerCall) {
        self.call = call
    }

    /// The message that came with the call.
    func request<Request: Message>(_ type: Request.Type = Request.self) throws(TTRPCStatus) -> Request {
        try Self.decode(type, call.payload)
    }

    /// - Parameter handler: May throw: the call then fails with that.
    func onMessage<Input: Message>(_ type: Input.Type, _ handler: @escaping (Input) throws(TTRPCStatus) -> Void) {
        call.onMessage = { [weak self] payload in
            guard let self, !self.isOver else { return }
            do throws(TTRPCStatus) {
                try handler(try Self.decode(type, payload))
            } catch {
                self.fail(error)
            }
        }
    }

    /// Calls `handler` once when nobody is left to answer: the client closed its side before the end, or went.
    func onAbandoned(_ handler: @escaping () -> Void) {
        let once = { [weak self] in
            guard let self, !self.isOver else { return }
            self.isOver = true
            handler()
        }
        call.onInputClosed = { [call] in
            once()
            call.finish()
        }
        call.onAbandoned = once
    }

    /// Bytes on their way to the host, of all calls together.
    var backlog: Int { call.queuedByteCount }

    func send(_ message: some Message) {
        guard !isOver, let bytes = encode(message) else { return }
        call.send(bytes)
    }

    /// Ends a call that answers once.
    func finish(_ message: some Message) {
        guard !isOver, let bytes = encode(message) else { return }
        end { call.finish(bytes) }
    }

    /// Ends a stream.
    func finish() {
        end { call.finish() }
    }

    func fail(_ failure: TTRPCStatus) {
        end { call.fail(failure) }
    }

    private func end(_ body: () -> Void) {
        guard !isOver else { return }
        isOver = true
        body()
        // The handlers hold the call's owner, and the owner holds the call.
        call.onMessage = nil
        call.onInputClosed = nil
        call.onAbandoned = nil
    }

    private func encode(_ message: some Message) -> [UInt8]? {
        do {
            return try message.serializedBytes()
        } catch {
            fail(TTRPCStatus(.internal, "the answer cannot be encoded: \(error)"))
            return nil
        }
    }

    private static func decode<Input: Message>(
        _ type: Input.Type,
        _ payload: [UInt8],
    ) throws(TTRPCStatus) -> Input {
        do {
            return try Input(serializedBytes: payload)
        } catch {
            throw TTRPCStatus(.invalidArgument, "the message is no \(Input.protoMessageName): \(error)")
        }
    }
}
