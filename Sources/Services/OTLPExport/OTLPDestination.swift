internal import AsyncHTTPClient
internal import LinuxSystem
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization
internal import Telemetry

/// The collector's addresses, and the file.
struct OTLPDestination: Sendable {
    private static let attempts = 3
    private static let firstPause = Duration.milliseconds(200)
    private static let requestTimeout = TimeAmount.seconds(5)

    private let settings: OTLPSettings
    private let client: HTTPClient
    private let logger: Logger
    private let hasComplained = ComplaintFlag()

    init(_ settings: OTLPSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        var configuration = HTTPClient.Configuration()
        // A redirect would carry the headers, and with them a token, to an address that nobody named.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(2)
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// False where the records of a batch are lost.
    func send(_ body: [UInt8], _ signal: OTLPSettings.Signal) async -> Bool {
        var isTaken = true
        if let file = settings.file {
            do throws(SyscallError) {
                try FileSystem.append(body + [0x0A], to: file, mode: 0o600)
            } catch {
                complain("telemetry cannot be written to \(file): \(error.errno)")
                isTaken = false
            }
        }
        guard let url = settings.endpoints[signal] else { return isTaken }
        return await post(body, to: url) && isTaken
    }

    private func post(_ body: [UInt8], to url: String) async -> Bool {
        var pause = Self.firstPause
        for attempt in 1...Self.attempts {
            switch await answer(to: body, url) {
            case .taken: return true
            case .refused(let why):
                complain("the collector at \(url) refuses telemetry: \(why)")
                return false
            case .notNow(let why):
                guard attempt < Self.attempts, !Task.isCancelled, (try? await Task.sleep(for: pause)) != nil else {
                    complain("the collector at \(url) does not take telemetry: \(why)")
                    return false
                }
                pause *= 2
            }
        }
        return false
    }

    private enum Answer {
        case taken
        case refused(String)
        /// The same may be sent again: https://opentelemetry.io/docs/specs/otlp/#failures-1
        case notNow(String)
    }

    private func answer(to body: [UInt8], _ url: String) async -> Answer {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "user-agent", value: "voidbox")
        for (name, value) in settings.headers { request.headers.replaceOrAdd(name: name, value: value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let response = try await client.execute(request, timeout: Self.requestTimeout)
            // What it says beside the status is of no use here.
            _ = try? await response.body.collect(upTo: 64 << 10)
            switch response.status.code {
            case 200..<300: return .taken
            case 429, 502, 503, 504: return .notNow("\(response.status.code)")
            case let code: return .refused("\(code)")
            }
        } catch {
            return .notNow("\(error)")
        }
    }

    /// Once: a collector that is gone is gone for every batch.
    private func complain(_ message: String) {
        if hasComplained.raise() { logger.warning("\(message)") }
    }

    func close() async {
        // It fails only when it was shut down before.
        try? await client.shutdown()
    }
}

private final class ComplaintFlag: Sendable {
    private let isRaised = Mutex(false)

    /// True for the first caller.
    func raise() -> Bool {
        isRaised.withLock { flag in
            defer { flag = true }
            return !flag
        }
    }
}
