package import HTTPTypes
package import Primitives

/// The secret that a box proves itself with: it opens a door of the host for one box and is worth nothing elsewhere.
package struct BoxToken: Sendable {
    package let value: Secret<String>

    /// 256 bits from the kernel.
    package init() {
        var generator = SystemRandomNumberGenerator()
        let digits = Array("0123456789abcdef")
        let random = (0..<64).map { _ in digits[Int.random(in: 0..<16, using: &generator)] }
        value = Secret("voidbox-" + String(random))
    }

    /// True where one of the two places that a client may put its key has the token.
    package func opens(_ fields: HTTPFields) -> Bool {
        var matches = false
        for candidate in fields[values: .apiKey] {
            // The comparison stands first so that every candidate is compared.
            matches = equals(candidate) || matches
        }
        for candidate in fields[values: .authorization] {
            let parts = candidate.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { continue }
            matches = equals(parts[1].drop { $0 == " " }) || matches
        }
        return matches
    }

    /// Takes the same time wherever the first difference is.
    private func equals(_ candidate: some StringProtocol) -> Bool {
        let expected = Array(value.reveal().utf8)
        let given = Array(candidate.utf8.prefix(expected.count + 1))
        var difference = UInt8(given.count == expected.count ? 0 : 1)
        for index in expected.indices {
            difference |= expected[index] ^ (index < given.count ? given[index] : 0)
        }
        return difference == 0
    }
}

extension HTTPField.Name {
    /// For literals: RFC 9110 tokens.
    package init(lowercase name: StaticString) {
        guard let parsed = HTTPField.Name("\(name)") else { preconditionFailure("\(name) is no field name") }
        self = parsed
    }

    package static let apiKey = HTTPField.Name(lowercase: "x-api-key")
}
