/// The first line of /proc/stat: ticks of all processors together since boot.
struct ProcessorTimes: Equatable {
    var busy: UInt64
    var total: UInt64

    init?(stat text: String) {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("cpu ") }) else { return nil }
        // user nice system idle iowait irq softirq steal; guest times are part of user's.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { UInt64($0) }
        guard ticks.count >= 4 else { return nil }
        total = ticks.reduce(0, &+)
        busy = total &- ticks[3] &- (ticks.count > 4 ? ticks[4] : 0)
    }

    /// Of the time since `earlier`, 0...100.
    func percent(since earlier: ProcessorTimes) -> Double {
        guard total > earlier.total, busy >= earlier.busy else { return 0 }
        return min(Double(busy - earlier.busy) / Double(total - earlier.total) * 100, 100)
    }
}

/// /proc/meminfo.
struct MemoryStatistics: Equatable {
    var totalBytes: UInt64 = 0
    /// What could be had without swapping.
    var availableBytes: UInt64 = 0
    var usedBytes: UInt64 { totalBytes - min(availableBytes, totalBytes) }

    init(meminfo text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 2, let kibibytes = UInt64(fields[1]) else { continue }
            switch fields[0] {
            case "MemTotal:": totalBytes = kibibytes &* 1024
            case "MemAvailable:": availableBytes = kibibytes &* 1024
            default: break
            }
        }
    }
}

/// /proc/net/dev, all interfaces but the loopback.
struct NetworkStatistics: Equatable {
    var receivedBytes: UInt64 = 0
    var sentBytes: UInt64 = 0

    init(netDev text: String) {
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].drop(while: { $0 == " " })
            let fields = line[line.index(after: colon)...].split(separator: " ")
            guard name != "lo", fields.count >= 9, let received = UInt64(fields[0]), let sent = UInt64(fields[8]) else {
                continue
            }
            receivedBytes &+= received
            sentBytes &+= sent
        }
    }
}

/// /proc/PID/stat of a process.
struct ProcessStatistics: Equatable {
    var pid: UInt32
    var name: String
    var state: String
    var isKernelThread: Bool
    var cpuTicks: UInt64
    var residentPages: UInt64

    init?(stat text: String) {
        // The name is in parentheses and may itself hold spaces and parentheses: the last one ends it.
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return nil }
        guard let pid = UInt32(text[..<open].split(separator: " ").first ?? "") else { return nil }
        let fields = text[text.index(after: close)...].split { $0 == " " || $0 == "\n" }
        guard fields.count >= 22, let flags = UInt64(fields[6]), let user = UInt64(fields[11]),
            let system = UInt64(fields[12]), let pages = UInt64(fields[21])
        else { return nil }
        self.pid = pid
        name = String(text[text.index(after: open)..<close])
        state = String(fields[0])
        isKernelThread = flags & 0x20_0000 != 0  // PF_KTHREAD
        cpuTicks = user &+ system
        residentPages = pages
    }
}
