/// What the kernel writes into the files of a cgroup (v2): lines of `key value`.
struct FlatKeyedFile: Equatable {
    private let values: [Substring: UInt64]

    init(_ text: String) {
        var values: [Substring: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, let value = UInt64(fields[1]) { values[fields[0]] = value }
        }
        self.values = values
    }

    /// 0 for a key that is not there: a kernel without the counter counted nothing.
    subscript(key: String) -> UInt64 { values[key[...]] ?? 0 }
}
