import Foundation

/// One line of the result: ours against a peer, measured in the same run.
package struct Figure: Encodable {
    package enum Better: String, Encodable {
        case lower, higher
    }

    package var name: String
    package var unit: String
    package var ours: Double
    package var peer: Double
    package var peerName: String
    /// ours / peer
    package var ratio: Double
    package var better: Better
    package var n: Int

    package init(
        _ name: String,
        unit: String,
        ours: [Double],
        peer: [Double],
        peerName: String,
        percentile: Double = 0.5,
        better: Better = .lower,
    ) {
        self.name = name
        self.unit = unit
        self.ours = Self.percentile(percentile, of: ours)
        self.peer = Self.percentile(percentile, of: peer)
        self.peerName = peerName
        ratio = self.peer == 0 ? 0 : self.ours / self.peer
        self.better = better
        n = ours.count
    }

    private static func percentile(_ share: Double, of values: [Double]) -> Double {
        let sorted = values.sorted()
        if sorted.isEmpty { return 0 }
        return sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)]
    }
}

extension [Figure] {
    /// Writes the figures as JSON.
    package func write(to file: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(self).write(to: URL(filePath: file))
    }

    package func printTable() {
        for result in self {
            let figures = String(format: "%10.2f %10.2f  %5.2f", result.ours, result.peer, result.ratio)
            let name = result.name.padding(toLength: 42, withPad: " ", startingAt: 0)
            print("\(name) \(figures)  \(result.unit) (\(result.peerName))")
        }
    }
}

extension Duration {
    package var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1000 + Double(attoseconds) / 1e15
    }
}

/// Tells on standard error how far a measurement is.
package func say(_ text: String) {
    FileHandle.standardError.write(Data("bench: \(text)\n".utf8))
}
