internal import GuestAPI
internal import LinuxSystem
internal import TTRPC

/// Samples of the whole guest, at the client's pace. Confined to the loop's thread.
final class TelemetryService {
    private static let shortestInterval = Duration.milliseconds(100)
    /// Of a guest with more of them, such as under a fork bomb, the rest is counted and not looked at.
    private static let mostProcesses = 1024
    private static let tickNanoseconds: UInt64 = 10_000_000
    private static let pageSize: UInt64 = 4096

    private let loop: EventLoop

    init(on loop: EventLoop) {
        self.loop = loop
    }

    func stream(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_TelemetryRequest.self)
        let asked = Duration.nanoseconds(Int64(clamping: request.intervalNanos))
        TelemetryStream(
            call,
            interval: max(asked, Self.shortestInterval),
            on: loop,
            sample: { Self.sample(since: &$0, withProcesses: request.processes) },
        ).begin()
    }

    private static func text(_ path: String) -> String {
        // What this kernel does not tell is counted as zero.
        (try? FileSystem.readText(path)) ?? ""
    }

    private static func sample(
        since earlier: inout ProcessorTimes?,
        withProcesses: Bool,
    ) -> Voidbox_Guest_V1_TelemetrySample {
        var sample = Voidbox_Guest_V1_TelemetrySample()
        sample.unixNanos = Machine.unixNanoseconds
        let times = ProcessorTimes(stat: text("/proc/stat"))
        if let times, let earlier { sample.cpuPercent = times.percent(since: earlier) }
        earlier = times
        let memory = MemoryStatistics(meminfo: text("/proc/meminfo"))
        sample.memoryTotalBytes = memory.totalBytes
        sample.memoryUsedBytes = memory.usedBytes
        let network = NetworkStatistics(netDev: text("/proc/net/dev"))
        sample.networkReceivedBytes = network.receivedBytes
        sample.networkSentBytes = network.sentBytes
        sample.openFiles = UInt32(text("/proc/sys/fs/file-nr").split(separator: "\t").first ?? "") ?? 0

        let names = (try? Directory("/proc").names()) ?? []
        let pids = names.filter { $0.first?.isNumber ?? false }
        let processes = pids.prefix(mostProcesses)
            .compactMap { ProcessStatistics(stat: text("/proc/\($0)/stat")) }
            .filter { !$0.isKernelThread }
        sample.processCount = UInt32(clamping: processes.count + pids.count - pids.prefix(mostProcesses).count)
        guard withProcesses else { return sample }
        sample.processes = processes.map { process in
            var one = Voidbox_Guest_V1_ProcessSample()
            one.pid = process.pid
            one.name = process.name
            one.state = process.state
            one.residentBytes = process.residentPages &* pageSize
            one.cpuNanos = process.cpuTicks &* tickNanoseconds
            return one
        }
        return sample
    }
}

/// One client's samples, until it closes. Confined to the loop's thread; its timer keeps it.
private final class TelemetryStream {
    private static let longestBacklog = 1 << 20

    private let call: Call
    private let interval: Duration
    private let loop: EventLoop
    private let sample: (inout ProcessorTimes?) -> Voidbox_Guest_V1_TelemetrySample
    private var earlier: ProcessorTimes?
    private var timer: EventLoop.Timer?

    init(
        _ call: Call,
        interval: Duration,
        on loop: EventLoop,
        sample: @escaping (inout ProcessorTimes?) -> Voidbox_Guest_V1_TelemetrySample,
    ) {
        self.call = call
        self.interval = interval
        self.loop = loop
        self.sample = sample
    }

    func begin() {
        // The first sample comes after one interval: the processor's share needs two looks.
        _ = sample(&earlier)
        call.onAbandoned { [self] in
            if let timer { loop.cancel(timer) }
        }
        scheduleNext()
    }

    private func scheduleNext() {
        timer = loop.schedule(after: interval) { [self] in
            // A host that does not read gets fewer samples, not more memory of the guest's.
            if call.backlog < Self.longestBacklog { call.send(sample(&earlier)) }
            scheduleNext()
        }
    }
}
