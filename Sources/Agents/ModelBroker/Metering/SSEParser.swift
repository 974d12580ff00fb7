/// Takes server-sent events (WHATWG HTML §9.2) apart as their bytes arrive, and keeps no more than one event.
struct SSEParser {
    struct Event: Hashable {
        var name = ""
        var data: [UInt8] = []
    }

    /// An event may be as long as it likes, but what is read here is not: metadata fits in a fraction of it.
    static let maxEventSize = 1 << 20

    private var line: [UInt8] = []
    private var event = Event()
    private var hasData = false
    private var isOversized = false
    private var lastWasCarriageReturn = false
    private var isAtStart = true

    /// Events that were too long to be looked into.
    private(set) var skippedEvents = 0

    /// Calls `body` with every event that these bytes complete.
    mutating func consume(_ bytes: some Sequence<UInt8>, _ body: (Event) -> Void) {
        for byte in bytes {
            if lastWasCarriageReturn {
                lastWasCarriageReturn = false
                if byte == UInt8(ascii: "\n") { continue }
            }
            switch byte {
            case UInt8(ascii: "\n"): endLine(body)
            case UInt8(ascii: "\r"):
                lastWasCarriageReturn = true
                endLine(body)
            default:
                if line.count + event.data.count >= Self.maxEventSize {
                    isOversized = true
                    line.removeAll()
                    event.data.removeAll()
                }
                // The rest of an oversized event is read but not kept; a line that is not empty must not look empty.
                if !isOversized || line.isEmpty { line.append(byte) }
            }
        }
    }

    private mutating func endLine(_ body: (Event) -> Void) {
        defer { line.removeAll(keepingCapacity: true) }
        if isAtStart {
            isAtStart = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        guard !line.isEmpty else { return endEvent(body) }
        guard !isOversized else { return }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        var value = line[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        let field = line[..<colon]
        if field.elementsEqual("data".utf8) {
            if hasData { event.data.append(UInt8(ascii: "\n")) }
            hasData = true
            event.data.append(contentsOf: value)
        } else if field.elementsEqual("event".utf8) {
            event.name = String(decoding: value, as: UTF8.self)
        }
    }

    private mutating func endEvent(_ body: (Event) -> Void) {
        if isOversized {
            skippedEvents += 1
        } else if hasData {
            body(event)
        }
        event = Event()
        hasData = false
        isOversized = false
    }
}
