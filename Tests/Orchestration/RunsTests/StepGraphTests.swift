import Spec
import Testing

@testable import Runs

@Suite("Graph of steps") struct StepGraphTests {
    private func workflow(_ steps: String) throws -> WorkflowSpec {
        let spec = try Spec.parse(Array("kind: workflow\nname: x\nworkflow: {steps: \(steps)}\n".utf8), file: "s.yaml")
        guard case .workflow(let workflow) = spec.body else { throw CancellationError() }
        return workflow
    }

    /// a and b start; c needs both, d needs b, e needs c and d.
    private func diamond() throws -> WorkflowSpec {
        try workflow(
            """
            [{name: a, run: {program: p}}, {name: b, run: {program: p}}, {name: c, run: {program: p}, depends_on: [a, b]}, \
            {name: d, run: {program: p, stdin_from: b}}, {name: e, run: {program: p, stdin_from: d}, depends_on: [c]}]
            """
        )
    }

    @Test func `a step may start when the last of what it needs is there`() throws {
        var graph = StepGraph(try diamond().steps)
        #expect(graph.roots == [0, 1])
        #expect(graph.satisfy(1) == [3], "d does not wait for the rest of a level")
        #expect(graph.satisfy(3) == [])
        #expect(graph.satisfy(0) == [2])
        #expect(graph.satisfy(2) == [4])
        #expect(graph.levels == [0, 0, 1, 1, 2])
    }

    @Test func `a step that fails takes along what needs it, once each and with the cause`() throws {
        var graph = StepGraph(try diamond().steps)
        #expect(graph.fail(1).map(\.step) == [2, 3, 4])
        #expect(graph.satisfy(0) == [], "c has fallen already")
        var other = StepGraph(try diamond().steps)
        #expect(other.fail(0).map { [$0.step, $0.because] } == [[2, 0], [4, 2]])
        #expect(other.satisfy(1) == [3], "d needs only b")
    }

    @Test func `the output is that of the step named, else of the last that nothing needs and that ends`() throws {
        #expect(try diamond().resultStep == 4)
        let flow = try workflow("[{name: a, run: {program: p}}, {name: s, run: {program: p}, mode: service}]")
        #expect(flow.resultStep == 0)
        var named = flow
        named.outputStep = "s"
        #expect(named.resultStep == 1)
    }

    @Test func `a wait grows by its factor up to its limit`() {
        var retry = RetrySpec()
        retry.maxAttempts = 9
        #expect((1...4).map { retry.delay(after: $0) } == [100, 200, 400, 800].map { .milliseconds($0) })
        #expect(retry.delay(after: 1000) == .seconds(30))
        retry.backoff = 100
        #expect(retry.delay(after: .max) == .seconds(30))
    }

    @Test func `listening ports are read from the kernel's table`() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0
               1: 0100007F:0016 0100007F:A000 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0
            """
        #expect(ListeningPorts(table).ports == [8080])
        #expect(ListeningPorts("").ports.isEmpty)
    }
}
