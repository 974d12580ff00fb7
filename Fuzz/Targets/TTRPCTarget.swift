@testable import TTRPC

extension FuzzTarget {
    /// The first byte chooses the side and how the rest is cut into pieces.
    static let ttrpc = FuzzTarget("ttrpc") { bytes in
        guard let first = bytes.first else { return }
        let step = Int(first & 0x3F) + 1
        var rest = bytes.dropFirst()
        if first & 0x80 == 0 {
            var server = ServerMachine()
            while !rest.isEmpty {
                guard let events = try? server.receive(rest.prefix(step)) else { return }
                for case .request(let id, let request) in events {
                    _ = server.data(request.payload, on: id)
                    _ = server.finish(request.payload, on: id)
                }
                rest = rest.dropFirst(step)
            }
        } else {
            var client = ClientMachine()
            let method = TTRPCMethod(service: "s", name: "m")
            for kind in [ClientMachine.Kind.unary, .stream, .serverStream] {
                _ = try? client.open(method, [1], kind: kind)
            }
            while !rest.isEmpty {
                guard (try? client.receive(rest.prefix(step))) != nil else { return }
                rest = rest.dropFirst(step)
            }
        }
    }
}
