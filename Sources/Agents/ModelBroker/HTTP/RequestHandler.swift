internal import BoxHTTP
internal import HTTPTypes
internal import HummingbirdCore
internal import Logging
internal import ModelProviders
internal import NIOCore
internal import Primitives

/// Answers one request of a guest: refuses it, or passes it on and meters the answer.
struct RequestHandler: Sendable {
    let upstream: any ModelUpstream
    let ledger: UsageLedger
    /// Kept out of messages.
    let secret: Secret<String>?
    let limits: ModelBrokerLimits
    let logger: Logger
    let onFirstFailure: @Sendable (ModelFailure) async -> Void

    /// - Throws: where the connection must be cut, because the answer cannot be completed.
    @concurrent
    func respond(
        to request: Request,
        token: BoxToken,
        writer: consuming ResponseWriter,
        on connection: BoxConnection,
    ) async throws {
        switch admit(request, token: token) {
        case .failure(let answer):
            try await writer.write(answer, isHead: request.method == .head)
        case .success(let route):
            try await forward(request, route: route, writer: writer, on: connection)
        }
    }

    // MARK: Admission

    private func admit(_ request: Request, token: BoxToken) -> Result<ModelRoute, BrokerAnswer> {
        let target = request.head.path ?? ""
        let route: Result<ModelRoute, ModelRoute.Refusal> = Result { () throws(ModelRoute.Refusal) in
            try ModelRoute(method: request.method, target: target)
        }
        // That somebody is there is no secret, and agents ask before they say who they are.
        if case .success(.root) = route { return .failure(.empty(200)) }
        let dialect = (try? route.get())?.dialect ?? .anthropic
        guard token.opens(request.headers) else {
            ledger.refused(.token)
            return .failure(.error(401, dialect, "the box's model token is missing or wrong"))
        }
        switch route {
        case .success(let route):
            if let length = request.contentLength, length > limits.maxRequestBody.bytes {
                ledger.refused(.bodyTooBig)
                return .failure(tooBig(dialect))
            }
            return .success(route)
        case .failure(.unknownPath):
            ledger.refused(.path)
            return .failure(.error(404, dialect, "the model broker does not pass on \(target.forMessage)"))
        case .failure(.methodNotAllowed(let allowed)):
            ledger.refused(.path)
            return .failure(.error(405, dialect, "\(request.method) is not allowed here; \(allowed) is"))
        }
    }

    private func tooBig(_ dialect: ModelDialect) -> BrokerAnswer {
        .error(413, dialect, "the request is larger than \(limits.maxRequestBody)")
    }

    // MARK: Passing on

    @concurrent
    private func forward(
        _ request: Request,
        route: ModelRoute,
        writer: consuming ResponseWriter,
        on connection: BoxConnection,
    ) async throws {
        guard request.method == .post else {
            let response = await ask(request, route: route, body: nil)
            return try await relay(response, route: route, writer: writer, on: connection)
        }
        let body = RequestBodyChannel(length: request.contentLength, limit: Int(limits.maxRequestBody.bytes))
        // Ends with the request's body, or with the connection.
        async let filling: Void = body.fill(from: request.body)
        let response = await ask(request, route: route, body: body)
        do {
            try await relay(response, route: route, writer: writer, on: connection)
        } catch {
            body.discardRest()
            throw error
        }
        body.discardRest()
        await filling
    }

    private func ask(
        _ request: Request,
        route: ModelRoute,
        body: RequestBodyChannel?,
    ) async -> Result<UpstreamResponse, BrokerAnswer> {
        ledger.requestPassed()
        let outgoing = UpstreamRequest(
            route: route,
            method: request.method,
            target: request.head.path ?? "/",
            headers: request.headers,
            body: body,
        )
        do {
            let response = try await upstream.respond(to: outgoing)
            if (300..<400).contains(response.status) {
                let reason = "it answered with a redirect (\(response.status)), which is not followed"
                return .failure(await failed(.unreachable(reason), route, mayRetry: false))
            }
            return .success(response)
        } catch is RequestBodyChannel.TooBig {
            ledger.refused(.bodyTooBig)
            return .failure(tooBig(route.dialect))
        } catch is CancellationError {
            return .failure(.empty(499))
        } catch {
            if body?.isTooBig == true {
                ledger.refused(.bodyTooBig)
                return .failure(tooBig(route.dialect))
            }
            let reason = ModelFailure.Reason(error, limits: limits)
            return .failure(await failed(reason, route, mayRetry: !ModelFailure.Reason.isRefusal(error)))
        }
    }

    /// - Parameter mayRetry: False where the same request would fail the same way: an agent that is not told tries again
    ///   for minutes.
    private func failed(_ reason: ModelFailure.Reason, _ route: ModelRoute, mayRetry: Bool) async -> BrokerAnswer {
        let failure = ModelFailure(endpoint: upstream.name, reason: reason)
        await record(failure)
        logger.info("model call failed", metadata: ["failure": "\(failure)"])
        if case .timedOut = reason { return .error(504, route.dialect, failure.description) }
        var answer = BrokerAnswer.error(502, route.dialect, failure.description)
        answer.mayRetry = mayRetry
        return answer
    }

    private func record(_ failure: ModelFailure) async {
        if ledger.failed(failure) { await onFirstFailure(failure) }
    }

    // MARK: The answer

    @concurrent
    private func relay(
        _ response: Result<UpstreamResponse, BrokerAnswer>,
        route: ModelRoute,
        writer: consuming ResponseWriter,
        on connection: BoxConnection,
    ) async throws {
        switch response {
        case .failure(let answer): try await writer.write(answer, isHead: false)
        case .success(let response): try await relay(response, route: route, writer: writer, on: connection)
        }
    }

    @concurrent
    private func relay(
        _ response: UpstreamResponse,
        route: ModelRoute,
        writer: consuming ResponseWriter,
        on connection: BoxConnection,
    ) async throws {
        let isError = response.status >= 400
        var meter = ResponseMeter(
            contentType: response.headers[.contentType],
            contentEncoding: response.headers[.contentEncoding],
            isError: isError,
        )
        let head = HTTPResponse(
            status: HTTPResponse.Status(code: response.status),
            headerFields: response.headers,
        )
        var body = try await writer.writeHead(head)
        do {
            for try await chunk in response.body {
                meter.consume(chunk.readableBytesView)
                try await body.write(chunk)
                try await connection.keepPace()
            }
            if meter.isTruncatedStream { throw UpstreamCut() }
        } catch {
            // What it said before still costs.
            ledger.metered(meter.finish(), mustHaveTokens: false)
            if !Task.isCancelled, !(error is ChannelError) {
                let failure = ModelFailure(
                    endpoint: upstream.name,
                    reason: ModelFailure.Reason(cutBy: error, after: meter.byteCount, limits: limits),
                )
                await record(failure)
                logger.info("model stream was cut", metadata: ["failure": "\(failure)"])
            }
            throw error
        }
        await settle(meter.finish(), response.status, route)
        try await body.finish(nil)
    }

    private func settle(_ reading: UsageReading, _ status: Int, _ route: ModelRoute) async {
        let isAnswer = [.messages, .chatCompletions, .responses].contains(route)
        if isAnswer { ledger.metered(reading, mustHaveTokens: status < 400 && reading.errorMessage == nil) }
        guard status >= 400 || reading.errorMessage != nil else { return }
        let message = reading.errorMessage.map { redacted($0).forMessage } ?? ""
        let reason: ModelFailure.Reason =
            status >= 400 ? .status(status, message: message) : .streamError(message: message)
        await record(ModelFailure(endpoint: upstream.name, reason: reason))
    }

    /// An endpoint may repeat the key that it refuses.
    private func redacted(_ text: String) -> String {
        guard let key = secret?.reveal(), !key.isEmpty else { return text }
        return text.split(separator: key, omittingEmptySubsequences: false).joined(separator: "redacted")
    }
}

/// An answer of the broker's own.
struct BrokerAnswer: Error {
    var status: Int
    var body: [UInt8]
    /// What clients of Anthropic's and OpenAI's APIs go by where they are told.
    var mayRetry = true

    static func empty(_ status: Int) -> BrokerAnswer { BrokerAnswer(status: status, body: []) }

    static func error(_ status: Int, _ dialect: ModelDialect, _ message: String) -> BrokerAnswer {
        BrokerAnswer(status: status, body: dialect.errorBody(status: status, message: message))
    }
}

extension ResponseWriter {
    @concurrent
    consuming func write(_ answer: BrokerAnswer, isHead: Bool) async throws {
        var head = HTTPResponse(status: HTTPResponse.Status(code: answer.status))
        head.headerFields[.contentLength] = "\(answer.body.count)"
        if !answer.mayRetry { head.headerFields[.shouldRetry] = "false" }
        if !answer.body.isEmpty { head.headerFields[.contentType] = "application/json" }
        guard !answer.body.isEmpty, !isHead else { return try await writeResponse(head) }
        var body = try await writeHead(head)
        try await body.write(ByteBuffer(bytes: answer.body))
        try await body.finish(nil)
    }
}

extension ModelFailure.Reason {
    init(cutBy error: any Error, after count: Int, limits: ModelBrokerLimits) {
        if case .timedOut(let limit) = ModelFailure.Reason(error, limits: limits) {
            self = .timedOut(limit)
        } else {
            self = .cut(afterBytes: count)
        }
    }
}

extension Request {
    fileprivate var contentLength: Int64? {
        headers[.contentLength].flatMap { Int64($0) }
    }
}

extension String {
    /// Short, and in one line: it comes from outside.
    fileprivate var forMessage: String {
        let line = String(map { $0.isNewline || $0 == "\t" ? " " : $0 })
        return line.count <= 300 ? line : "\(line.prefix(300))…"
    }
}
