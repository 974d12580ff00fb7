extension SandboxInstance {
    /// Reads a file whole. Throws `resourceExhausted` for one above `limit`.
    package func readFile(_ path: String, limit: Int) async throws -> [UInt8] {
        var contents: [UInt8] = []
        try await readFile(path) { piece in
            contents += copy piece
            if contents.count > limit {
                throw SandboxError(.resourceExhausted, resource: path, "the file is larger than \(limit) bytes")
            }
        }
        return contents
    }

    package func writeFile(_ path: String, _ contents: [UInt8], options: WriteOptions = WriteOptions()) async throws {
        var rest: [UInt8]? = contents
        try await writeFile(path, options: options) { rest.take() }
    }
}
