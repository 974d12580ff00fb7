/// The full name of a procedure.
package struct TTRPCMethod: Hashable, Sendable, CustomStringConvertible {
    package let service: String
    package let name: String

    package init(service: String, name: String) {
        self.service = service
        self.name = name
    }

    package var description: String { "\(service)/\(name)" }
}
