/// Tokens as a model's endpoint counts them.
package struct TokenCount: Hashable, Sendable {
    /// Read in full, beside the two cache counts.
    package var input: Int
    package var output: Int
    /// Written to the prompt cache for five minutes.
    package var cacheWrite: Int
    /// Written to the prompt cache for an hour.
    package var cacheWriteLong: Int
    package var cacheRead: Int

    package init(input: Int = 0, output: Int = 0, cacheWrite: Int = 0, cacheWriteLong: Int = 0, cacheRead: Int = 0) {
        self.input = input
        self.output = output
        self.cacheWrite = cacheWrite
        self.cacheWriteLong = cacheWriteLong
        self.cacheRead = cacheRead
    }

    /// All that the model read.
    package var prompt: Int {
        input.saturatingSum(cacheWrite).saturatingSum(cacheWriteLong).saturatingSum(cacheRead)
    }

    package var isZero: Bool { self == TokenCount() }

    /// Saturates: the counts come from an endpoint, and a wild number must not end the process.
    package static func += (sum: inout TokenCount, other: TokenCount) {
        sum.input = sum.input.saturatingSum(other.input)
        sum.output = sum.output.saturatingSum(other.output)
        sum.cacheWrite = sum.cacheWrite.saturatingSum(other.cacheWrite)
        sum.cacheWriteLong = sum.cacheWriteLong.saturatingSum(other.cacheWriteLong)
        sum.cacheRead = sum.cacheRead.saturatingSum(other.cacheRead)
    }
}

extension Int {
    fileprivate func saturatingSum(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
