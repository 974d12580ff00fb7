internal import GuestAPI
package import LinuxSystem
internal import Primitives
internal import SwiftProtobuf
internal import TTRPC

/// Calls the guest agent of one box: `Protos/guest.proto` in the words of `SandboxInstance`.
package final class GuestClient: Sendable {
    private static let service = "voidbox.guest.v1.Guest"

    private let client: TTRPCClient
    private let box: String

    /// - Parameter control: The control channel of the machine.
    package init(adopting control: consuming OwnedFD, on thread: EventLoopThread, box: String) throws(SyscallError) {
        client = try TTRPCClient(adopting: control, on: thread)
        self.box = box
    }

    package func close() {
        client.close()
    }

    // MARK: Calls

    func call<Response: Message>(
        _ name: String,
        _ request: some Message,
        on resource: String,
        timeout: Duration? = nil,
    ) async throws -> Response {
        do {
            let bytes: [UInt8] = try request.serializedBytes()
            return try Response(serializedBytes: try await client.call(Self.method(name), bytes, timeout: timeout))
        } catch {
            throw translate(error, resource)
        }
    }

    func openStream(
        _ name: String,
        _ request: some Message,
        on resource: String,
        sends: Bool = true,
    ) throws -> TTRPCClientStream {
        do {
            let bytes: [UInt8] = try request.serializedBytes()
            return try client.openStream(Self.method(name), bytes, sends: sends)
        } catch {
            throw translate(error, resource)
        }
    }

    func receive<Output: Message>(_: Output.Type, from stream: TTRPCClientStream, on resource: String) async throws
        -> Output?
    {
        do {
            guard let bytes = try await stream.receive() else { return nil }
            return try Output(serializedBytes: bytes)
        } catch {
            throw translate(error, resource)
        }
    }

    func send(_ message: some Message, to stream: TTRPCClientStream, on resource: String) throws {
        do {
            let bytes: [UInt8] = try message.serializedBytes()
            try stream.send(bytes)
        } catch {
            throw translate(error, resource)
        }
    }

    private static func method(_ name: String) -> TTRPCMethod {
        TTRPCMethod(service: service, name: name)
    }

    // MARK: Errors

    /// What a failed call means to the caller. Cancellation stays what it is.
    func translate(_ error: any Error, _ resource: String) -> any Error {
        switch error {
        case is CancellationError, is SandboxError: return error
        case let error as TTRPCError: return translate(error, resource)
        default:
            return SandboxError(
                .protocolViolation,
                resource: resource,
                "the guest agent of box \"\(box)\" answered something else than was asked",
                cause: error,
            )
        }
    }

    private func translate(_ error: TTRPCError, _ resource: String) -> SandboxError {
        switch error {
        case .status(let status):
            return SandboxError(SandboxError.Code(status.code), resource: resource, status.message, cause: status)
        case .deadlineExceeded:
            return SandboxError(
                .timedOut,
                resource: resource,
                "the guest agent of box \"\(box)\" did not answer in time"
            )
        case .messageTooLong(let count):
            return SandboxError(.invalidArgument, resource: resource, "\(count) bytes do not fit into one call")
        case .closed(.violation(let violation)):
            return SandboxError(
                .protocolViolation,
                resource: resource,
                "the guest agent of box \"\(box)\" broke the protocol: \(violation)",
            )
        case .closed(.failed(let reason)):
            return SandboxError(
                .machineEnded,
                resource: resource,
                "the channel to box \"\(box)\" failed before the call was answered: \(reason)",
            )
        case .closed(.closedHere), .closed(.closedByPeer):
            return SandboxError(.machineEnded, resource: resource, "box \"\(box)\" ended before the call was answered")
        }
    }
}

extension SandboxError.Code {
    fileprivate init(_ code: TTRPCStatus.Code) {
        self =
            switch code {
            case .notFound: .notFound
            case .alreadyExists: .alreadyExists
            case .permissionDenied, .unauthenticated: .notPermitted
            case .resourceExhausted: .resourceExhausted
            case .invalidArgument, .outOfRange, .failedPrecondition: .invalidArgument
            case .deadlineExceeded: .timedOut
            case .unimplemented: .unsupported
            case .ok, .cancelled, .unknown, .aborted, .internal, .unavailable, .dataLoss: .protocolViolation
            }
    }
}
