/// One line of the result: ours against a peer, measured in the same run.
struct Measurement: Encodable {
    enum Better: String, Encodable {
        case lower, higher
    }

    var name: String
    var unit: String
    var ours: Double
    var peer: Double
    var peerName: String
    /// ours / peer
    var ratio: Double
    var better: Better
    var n: Int

    init(_ name: String, unit: String, ours: [Double], peer: [Double], peerName: String, percentile: Double = 0.5) {
        self.name = name
        self.unit = unit
        self.ours = Self.percentile(percentile, of: ours)
        self.peer = Self.percentile(percentile, of: peer)
        self.peerName = peerName
        ratio = self.peer == 0 ? 0 : self.ours / self.peer
        better = .lower
        n = ours.count
    }

    private static func percentile(_ share: Double, of values: [Double]) -> Double {
        let sorted = values.sorted()
        if sorted.isEmpty { return 0 }
        return sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)]
    }
}

extension Duration {
    var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1000 + Double(attoseconds) / 1e15
    }
}
