internal import AsyncHTTPClient
internal import HTTPTypes
internal import LinuxSystem
internal import ModelProviders
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// A model's endpoint on the network.
struct EndpointUpstream: ModelUpstream {
    private let endpoint: ModelEndpoint
    private let limits: ModelBrokerLimits
    private let client: HTTPClient

    init(_ endpoint: ModelEndpoint, limits: ModelBrokerLimits) {
        self.endpoint = endpoint
        self.limits = limits
        var configuration = HTTPClient.Configuration()
        // A redirect would carry the key to an address that nobody named.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = TimeAmount(limits.connectTimeout)
        configuration.timeout.read = TimeAmount(limits.idleTimeout)
        // The agent retries by itself, and a refused connection should be known at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = limits.maxConnections
        configuration.httpVersion = .http1Only
        configuration.decompression = .disabled
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    var name: String { endpoint.url.description }

    func respond(to request: UpstreamRequest) async throws -> UpstreamResponse {
        var outgoing = HTTPClientRequest(url: endpoint.url.description + request.target)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        outgoing.headers.replaceOrAdd(name: "host", value: endpoint.url.authority)
        for field in HeaderRules.request(request.headers, credential: endpoint.credential) {
            outgoing.headers.add(name: field.name.rawName, value: field.value)
        }
        if let body = request.body {
            outgoing.body = .stream(body.chunks, length: body.length.map { .known($0) } ?? .unknown)
        }
        let response = try await client.execute(outgoing, deadline: .distantFuture)
        var headers = HTTPFields()
        for (name, value) in response.headers {
            guard let name = HTTPField.Name(name) else { continue }
            headers.append(HTTPField(name: name, value: value))
        }
        return UpstreamResponse(
            status: Int(response.status.code),
            headers: HeaderRules.response(headers),
            body: response.body.failingOpenly,
        )
    }

    func close() async {
        // It fails only when it was shut down before.
        try? await client.shutdown()
    }
}

extension HTTPClientResponse.Body {
    /// The same, with its error type spelled out.
    fileprivate var failingOpenly: BodyChunks {
        map { $0 }
    }
}

extension ModelFailure.Reason {
    /// What went wrong on the way to the endpoint, in words without secrets.
    init(_ error: any Error, limits: ModelBrokerLimits) {
        switch error as? HTTPClientError {
        case .connectTimeout?, .tlsHandshakeTimeout?, .getConnectionFromPoolTimeout?:
            self = .timedOut(limits.connectTimeout)
        case .readTimeout?, .writeTimeout?, .deadlineExceeded?:
            self = .timedOut(limits.idleTimeout)
        case .remoteConnectionClosed?:
            self = .unreachable("it closed the connection before it answered")
        case let known?:
            self = .unreachable(known.shortDescription)
        case nil:
            self = .unreachable(Self.describe(error))
        }
    }

    /// Whether nothing listens at the address, or there is none of that name.
    static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError: true
        case let error as IOError: error.errnoCode == Errno.connectionRefused.rawValue
        default: false
        }
    }

    private static func describe(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let failure = error.connectionErrors.last { return describe(failure.error) }
            if error.dnsAError != nil || error.dnsAAAAError != nil { return "its host name \(error.host) is not known" }
            return "no connection"
        case let error as IOError:
            return Errno(rawValue: error.errnoCode).description
        default:
            return String(describing: error)
        }
    }
}
