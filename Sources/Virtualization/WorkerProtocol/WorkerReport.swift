internal import ByteCodec

/// What a worker tells its parent.
package enum WorkerReport: Hashable, Sendable {
    /// The machine is set up, and its first instruction comes next.
    case started
    /// Something the user should know, and the machine lives with.
    case warning(String)
    /// Nothing follows.
    case ended(WorkerEnd)
}

/// Why a machine ended, as far as its worker knows. A worker that is killed says nothing.
package enum WorkerEnd: Hashable, Sendable {
    /// The guest asked for it.
    case guestReset
    /// The guest's kernel lost its way, as after a panic that it could not report.
    case tripleFault
    /// The machine could not be made.
    case setUpFailed(String)
    /// It ran, and then could not go on.
    case failed(String)
}

/// Reports as bytes: a kind, a length, and text.
package struct WorkerReportParser: Sendable {
    package enum Violation: Error, Hashable, Sendable {
        case kind(UInt8)
        case tooLong(UInt32)
    }

    private static let maxText: UInt32 = 64 << 10

    private var buffer: [UInt8] = []

    package init() {}

    /// The reports that are complete with these bytes.
    package mutating func receive(_ bytes: [UInt8]) throws(Violation) -> [WorkerReport] {
        buffer += bytes
        var reports: [WorkerReport] = []
        while buffer.count >= 5 {
            let count = buffer[1..<5].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            guard count <= Self.maxText else { throw .tooLong(count) }
            guard buffer.count >= 5 + Int(count) else { break }
            let text = String(decoding: buffer[5..<5 + Int(count)], as: UTF8.self)
            reports.append(try WorkerReport(kind: buffer[0], text: text))
            buffer.removeFirst(5 + Int(count))
        }
        return reports
    }
}

extension WorkerReport {
    fileprivate init(kind: UInt8, text: String) throws(WorkerReportParser.Violation) {
        switch kind {
        case 1: self = .started
        case 2: self = .warning(text)
        case 3: self = .ended(.guestReset)
        case 4: self = .ended(.tripleFault)
        case 5: self = .ended(.setUpFailed(text))
        case 6: self = .ended(.failed(text))
        default: throw .kind(kind)
        }
    }

    package var encoded: [UInt8] {
        let (kind, text): (UInt8, String) =
            switch self {
            case .started: (1, "")
            case .warning(let text): (2, text)
            case .ended(.guestReset): (3, "")
            case .ended(.tripleFault): (4, "")
            case .ended(.setUpFailed(let text)): (5, text)
            case .ended(.failed(let text)): (6, text)
            }
        var bytes = [kind]
        bytes.appendField(Array(text.utf8.prefix(16 << 10)))
        return bytes
    }
}
