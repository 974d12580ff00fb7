import Foundation
import Synchronization
import Testing

@testable import Sandboxing

/// Cancelling a task calls its handlers under the task's own lock, which resuming it takes as well. A lock of ours that is held
/// while a continuation is resumed, and that the handler takes, makes the two wait for each other for ever.
@Suite("Waking a task that is being cancelled", .serialized, .timeLimit(.minutes(10))) struct WakingTests {
    @Test func `a one-shot`() async throws {
        try await race { started in
            let shot = OneShot<Int>()
            let task = Task {
                started()
                _ = try? await shot.wait()
            }
            return ({ task.cancel() }, { shot.fulfil(1) })
        }
    }

    @Test(arguments: [true, false]) func `an inbox`(isFinished: Bool) async throws {
        try await race { started in
            let inbox = Inbox<Int>()
            let task = Task {
                started()
                _ = try? await inbox.next()
            }
            return ({ task.cancel() }, { isFinished ? inbox.finish() : inbox.put(1) })
        }
    }

    @Test(arguments: [true, false]) func `a send gate`(isClosed: Bool) async throws {
        struct Gone: Error {}
        try await race { started in
            let gate = SendGate(capacity: 1)
            let task = Task {
                _ = try? await gate.pass(1)
                started()
                _ = try? await gate.pass(1)
            }
            return ({ task.cancel() }, { if isClosed { gate.close(Gone()) } else { _ = gate.giveBack(1) } })
        }
    }

    private typealias Actions = (cancel: @Sendable () -> Void, wake: @Sendable () -> Void)

    /// Cancels and wakes at the same moment, many times over, on two threads that are nobody's pool: what hangs is they.
    /// A busy host gets through fewer rounds in the time; stuck is who does not get through one.
    private func race(rounds: Int = 5000, _ make: @escaping @Sendable (@escaping @Sendable () -> Void) -> Actions)
        async throws
    {
        let meeting = Meeting()
        let (done, finish) = AsyncStream.makeStream(of: Void.self)
        let end = ContinuousClock.now + .seconds(20)
        Thread.detachNewThread {
            for round in 1...rounds {
                let isLast = round == rounds || .now > end
                let flag = Flag()
                let actions = make { flag.set() }
                while !flag.isSet { sched_yield() }
                meeting.wake.withLock { $0 = actions.wake }
                // The task needs a moment from here to its wait: another one each round.
                for _ in 0..<(round % 50) * 20 { _ = flag.isSet }
                if isLast { meeting.last.store(round, ordering: .releasing) }
                meeting.round.store(round, ordering: .releasing)
                actions.cancel()
                while meeting.answered.load(ordering: .acquiring) < round { sched_yield() }
                if isLast { break }
            }
            finish.yield()
        }
        Thread.detachNewThread {
            for round in 1...rounds where round <= meeting.last.load(ordering: .acquiring) {
                var spins = 0
                while meeting.round.load(ordering: .acquiring) < round {
                    spins += 1
                    if spins > 10_000 { sched_yield() }
                }
                let wake = meeting.wake.withLock { $0.take() }
                wake?()
                meeting.answered.store(round, ordering: .releasing)
            }
        }
        let isDone = await withTaskGroup(of: Bool.self) { group in
            group.addTask { await done.first { _ in true } != nil }
            group.addTask {
                var seen = 0
                repeat {
                    seen = meeting.round.load(ordering: .relaxed)
                    try? await Task.sleep(for: .seconds(60))
                } while !Task.isCancelled && meeting.round.load(ordering: .relaxed) > seen
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        #expect(isDone, "stuck in round \(meeting.round.load(ordering: .relaxed))")
    }
}

/// Where two threads agree on a round.
private final class Meeting: Sendable {
    let round = Atomic(0)
    let answered = Atomic(0)
    let last = Atomic(Int.max)
    let wake = Mutex<(@Sendable () -> Void)?>(nil)
}

private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
