/// What the agent writes into /etc.
extension BootPlan {
    var hostsFile: String {
        """
        127.0.0.1 localhost \(hostName)
        ::1 localhost ip6-localhost ip6-loopback

        """
    }

    /// Empty without a network: then nothing is to be asked.
    var resolverFile: String {
        (network?.nameServers ?? []).map { "nameserver \($0)\n" }.joined()
    }
}

/// How the memory of the machine is shared out.
enum MemoryPlan {
    /// What all execs together may have.
    ///
    /// Never all that is there: a machine that runs out as a whole drops the pages of running programs again and again
    /// before it kills one, for seconds. An exec that reaches its limit is stopped at once.
    static func limit(policy: UInt64, available: UInt64) -> UInt64 {
        let reserve = max(available / 32, min(16 << 20, available / 4))
        let most = available - reserve
        return policy == 0 ? most : min(policy, most)
    }
}
