import Testing

@testable import GuestAgentCore

@Suite("Files of the kernel") struct KernelFileTests {
    @Test func `flat keyed files give numbers by name`() {
        let events = FlatKeyedFile("low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\n")
        #expect(events["oom_kill"] == 3)
        #expect(events["populated"] == 0)
        #expect(FlatKeyedFile("garbage\nx y z\n")["x"] == 0)
    }

    @Test func `the processor's share is what was busy between two looks`() throws {
        let first = try #require(ProcessorTimes(stat: "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3 4\n"))
        let second = try #require(ProcessorTimes(stat: "cpu  150 0 125 820 5 0 0 0 0 0\n"))
        #expect(second.percent(since: first) == 75)
        #expect(first.percent(since: second) == 0)
        #expect(first.percent(since: first) == 0)
        #expect(ProcessorTimes(stat: "intr 1 2 3") == nil)
    }

    @Test func `memory that is available is not used`() {
        let memory = MemoryStatistics(meminfo: "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:  400 kB\n")
        #expect(memory.totalBytes == 1_024_000)
        #expect(memory.usedBytes == 614_400)
    }

    @Test func `traffic is summed over all interfaces but the loopback`() {
        let network = NetworkStatistics(
            netDev: """
                Inter-|   Receive                                                |  Transmit
                 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
                    lo:  999      9    0    0    0     0          0         0      999       9    0    0    0
                  eth0: 1000     10    0    0    0     0          0         0     2000      20    0    0    0
                  eth1:1 1 0 0 0 0 0 0 2 1 0 0 0
                """
        )
        #expect(network.receivedBytes == 1001)
        #expect(network.sentBytes == 2002)
    }

    @Test func `a process may be named with parentheses and spaces`() throws {
        let line =
            "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 50 25 0 0 20 0 1 0 100 1000000 77 18446744073709551615\n"
        let process = try #require(ProcessStatistics(stat: line))
        #expect(process.pid == 42)
        #expect(process.name == "a) b (c)")
        #expect(process.state == "S")
        #expect(process.cpuTicks == 75)
        #expect(process.residentPages == 77)
        #expect(!process.isKernelThread)
    }

    @Test(arguments: ["", "42", "42 (x", "x (y) S 1", ") ("])
    func `a line that is none is no process`(_ line: String) {
        #expect(ProcessStatistics(stat: line) == nil)
    }
}
