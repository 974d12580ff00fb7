import Foundation
package import Testing

/// Holds a test back until the host has processors for one more box.
///
/// A virtual machine that is emulated takes a processor or two of the host. Were all tests with a box to run at once, each
/// would be slower than its own limits. The waiting is not part of the test, except for its time limit.
package struct BoxSlotTrait: SuiteTrait, TestTrait, TestScoping {
    package let isRecursive = true

    package func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
        testCase == nil ? nil : self
    }

    package func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void,
    ) async throws {
        await BoxSlots.host.take()
        do {
            try await function()
        } catch {
            await BoxSlots.host.giveBack()
            throw error
        }
        await BoxSlots.host.giveBack()
    }
}

extension Trait where Self == BoxSlotTrait {
    /// As many of these tests run at once as the host has processors.
    package static var takesBoxSlot: Self { BoxSlotTrait() }
}

/// A counting semaphore, first come first served.
private actor BoxSlots {
    static let host = BoxSlots(count: max(1, ProcessInfo.processInfo.activeProcessorCount))

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(count: Int) {
        free = count
    }

    func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func giveBack() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}
