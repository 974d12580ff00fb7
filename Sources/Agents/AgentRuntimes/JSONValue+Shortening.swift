internal import Primitives

extension JSONValue {
    /// The same with its long parts cut, so that ten thousand of them fit: for reports.
    var shortened: JSONValue {
        var budget = 2000
        return shortened(&budget)
    }

    private func shortened(_ budget: inout Int) -> JSONValue {
        budget -= 8
        switch self {
        case .null, .bool, .integer, .number: return self
        case .string(let text):
            // Bytes are cheap to count; a cut inside of a character is none.
            guard text.utf8.count > max(budget, 0) else {
                budget -= text.utf8.count
                return self
            }
            let cut = String(text.prefix(max(budget, 0)))
            budget = 0
            return .string(cut + "…")
        case .array(let items):
            var kept: [JSONValue] = []
            for item in items where budget > 0 { kept.append(item.shortened(&budget)) }
            return .array(kept)
        case .object(let members):
            var kept: [String: JSONValue] = [:]
            for (name, value) in members.sorted(by: { $0.key < $1.key }) where budget > 0 {
                budget -= name.utf8.count
                kept[name] = value.shortened(&budget)
            }
            return .object(kept)
        }
    }
}
