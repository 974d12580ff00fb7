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
    /// Kept from the execs for the agent and the kernel.
    static func reserve(ofTotal total: UInt64) -> UInt64 {
        max(total / 16, min(32 << 20, total / 4))
    }

    /// What all execs together may have.
    static func limit(policy: UInt64, total: UInt64) -> UInt64 {
        let most = total - reserve(ofTotal: total)
        return policy == 0 ? most : min(policy, most)
    }
}
