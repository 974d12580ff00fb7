internal import GuestAPI
internal import LinuxSystem
internal import Primitives
internal import TTRPC

extension GuestClient {
    func health(timeout: Duration? = nil) async throws -> GuestHealth {
        let response: Voidbox_Guest_V1_HealthResponse = try await call(
            "Health",
            Voidbox_Guest_V1_HealthRequest(),
            on: "guest agent",
            timeout: timeout,
        )
        return GuestHealth(
            agentVersion: response.agentVersion,
            uptime: Duration(wholeNanoseconds: response.uptimeNanos),
            agentResident: ByteCount(bytes: response.residentBytes),
            activeExecs: Int(response.activeExecs),
            processors: Int(response.processors),
            memoryTotal: ByteCount(bytes: response.memoryTotalBytes),
            warnings: response.warnings,
        )
    }

    /// Sets the guest's clock to the host's.
    func synchronizeClock() async throws {
        var request = Voidbox_Guest_V1_SetClockRequest()
        request.unixNanos = HostFacts.unixNanoseconds
        let _: Voidbox_Guest_V1_Empty = try await call("SetClock", request, on: "guest agent")
    }

    /// Asks the machine to end. The answer may be lost with it.
    func shutdown(timeout: Duration) async throws {
        let _: Voidbox_Guest_V1_Empty = try await call(
            "Shutdown",
            Voidbox_Guest_V1_Empty(),
            on: "guest agent",
            timeout: timeout,
        )
    }

    func listExecs() async throws -> [ExecInfo] {
        let list: Voidbox_Guest_V1_ListExecsResponse = try await call(
            "ListExecs",
            Voidbox_Guest_V1_Empty(),
            on: "guest agent",
        )
        return list.execs.map { exec in
            ExecInfo(
                id: exec.execID,
                argv: exec.argv,
                isAttached: exec.attached,
                age: Duration(wholeNanoseconds: exec.ageNanos),
            )
        }
    }

    func signalExec(_ id: String, _ signal: Int32) async throws {
        var request = Voidbox_Guest_V1_SignalExecRequest()
        request.execID = id
        request.signal = UInt32(clamping: signal)
        let _: Voidbox_Guest_V1_Empty = try await call("SignalExec", request, on: "exec \(id)")
    }

    func telemetry(every interval: Duration) throws -> AsyncThrowingStream<TelemetrySample, any Error> {
        var request = Voidbox_Guest_V1_TelemetryRequest()
        request.intervalNanos = interval.wholeNanoseconds
        let stream = try openStream("Telemetry", request, on: "telemetry")
        // The consumer that lags gets the newest sample: an old one is worth nothing.
        return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                do {
                    while let sample = try await self.receive(
                        Voidbox_Guest_V1_TelemetrySample.self,
                        from: stream,
                        on: "telemetry",
                    ) {
                        continuation.yield(TelemetrySample(sample))
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in
                stream.cancel()
                task.cancel()
            }
        }
    }
}

extension TelemetrySample {
    fileprivate init(_ sample: Voidbox_Guest_V1_TelemetrySample) {
        self.init(
            unixNanoseconds: sample.unixNanos,
            cpuPercent: sample.cpuPercent,
            memoryUsed: ByteCount(bytes: sample.memoryUsedBytes),
            memoryTotal: ByteCount(bytes: sample.memoryTotalBytes),
            networkReceived: ByteCount(bytes: sample.networkReceivedBytes),
            networkSent: ByteCount(bytes: sample.networkSentBytes),
            processCount: Int(sample.processCount),
            openFiles: Int(sample.openFiles),
        )
    }
}
