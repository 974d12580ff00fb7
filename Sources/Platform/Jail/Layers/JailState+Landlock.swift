internal import LinuxSystem

extension JailState {
    func installLandlock() throws(JailError.Cause) -> [String] {
        let abi = try attempt(Landlock.abi)
        try attempt { () throws(SyscallError) in
            let ruleset = try Landlock.Ruleset(
                files: .all(abi: abi),
                network: abi < 4 ? [] : [.bindTCP, .connectTCP],
                scopes: abi < 6 ? [] : [.abstractUnixSocket, .signal],
            )
            for share in plan.shares {
                try ruleset.allow(share.access.rights, beneath: share.descriptor)
            }
            try ruleset.restrictSelf()
        }
        return Self.shortcomings(ofLandlock: abi, hasShares: !plan.shares.isEmpty)
    }

    /// What an ABI does not restrict, compared with the newest that is of use here, 6.
    static func shortcomings(ofLandlock abi: Int, hasShares: Bool) -> [String] {
        let all: [(abi: Int, what: String, matters: Bool)] = [
            (2, "no renaming between directories of a share", hasShares),
            (3, "truncation not restricted", true),
            (4, "no TCP rules", true),
            (5, "ioctl on devices not restricted", true),
            (6, "signals and abstract Unix sockets not restricted", true),
        ]
        return all.filter { abi < $0.abi && $0.matters }.map { "Landlock ABI \(abi): \($0.what)" }
    }
}

extension JailPlan.Share.Access {
    /// Nothing in a share is ever executed by the host, and no device is made or driven in it.
    var rights: Landlock.FileRights {
        switch self {
        case .readOnly: [.readFile, .readDirectory]
        case .readWrite:
            Landlock.FileRights.all(abi: .max)
                .subtracting([.execute, .makeCharacterDevice, .makeBlockDevice, .deviceControl])
        }
    }
}
