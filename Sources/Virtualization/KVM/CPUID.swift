internal import CKVM

/// One answer of the CPUID instruction.
struct CPUIDEntry: Hashable, Sendable {
    var function: UInt32
    var index: UInt32
    var flags: UInt32
    var eax: UInt32
    var ebx: UInt32
    var ecx: UInt32
    var edx: UInt32
}

extension CPUIDEntry {
    init(_ entry: kvm_cpuid_entry2) {
        self.init(
            function: entry.function,
            index: entry.index,
            flags: entry.flags,
            eax: entry.eax,
            ebx: entry.ebx,
            ecx: entry.ecx,
            edx: entry.edx,
        )
    }

    var shim: kvm_cpuid_entry2 {
        kvm_cpuid_entry2(
            function: function,
            index: index,
            flags: flags,
            eax: eax,
            ebx: ebx,
            ecx: ecx,
            edx: edx,
            padding: (0, 0, 0),
        )
    }
}

/// Which processor of how many this is: one socket, a core for each, no hyper-threads.
///
/// The leaves are those of Intel's SDM volume 2, CPUID, and AMD's APM volume 3, appendix E.
struct CPUTopology {
    let index: Int
    let count: Int

    /// Bits of an APIC id that tell cores apart.
    private var coreBits: UInt32 { UInt32(Int.bitWidth - (max(1, count) - 1).leadingZeroBitCount) }
    private var apicID: UInt32 { UInt32(index) }

    func applied(to supported: [CPUIDEntry]) -> [CPUIDEntry] {
        // The host's own topology does not hold for the guest; the leaves that tell it are made anew.
        let madeAnew: Set<UInt32> = [0x0B, 0x1F]
        var entries = supported.filter { !madeAnew.contains($0.function) }
        for index in entries.indices { adapt(&entries[index]) }
        if (supported.map(\.function).filter { $0 < 0x4000_0000 }.max() ?? 0) >= 0x0B { entries += extendedTopology }
        return entries
    }

    private func adapt(_ entry: inout CPUIDEntry) {
        switch entry.function {
        case 0x01:
            entry.ebx = entry.ebx & 0x0000_FFFF | UInt32(min(count, 255)) << 16 | (apicID & 0xFF) << 24
            entry.ecx |= 1 << 31 | 1 << 24  // A hypervisor is there; the local timer has a deadline mode.
            // Several logical processors in the package.
            entry.edx = count > 1 ? entry.edx | 1 << 28 : entry.edx & ~(1 << 28)
        case 0x04:
            // Cores in the package, and threads that share the cache: all for the last level, one below.
            guard entry.eax & 0x1F != 0 else { return }
            let level = entry.eax >> 5 & 0x7
            let sharing = level >= 3 ? UInt32(max(1, count)) - 1 : 0
            entry.eax = entry.eax & 0x0000_3FFF | (UInt32(1) << coreBits - 1) << 26 | sharing << 14
        case 0x8000_0008:
            entry.ecx = entry.ecx & ~0xF0FF | UInt32(max(1, count)) - 1 | coreBits << 12
        case 0x8000_001D:
            let level = entry.eax >> 5 & 0x7
            entry.eax = entry.eax & 0x0000_3FFF | (level >= 3 ? UInt32(max(1, count)) - 1 : 0) << 14
        case 0x8000_001E:
            entry.eax = apicID
            entry.ebx = entry.ebx & ~0xFFFF | apicID & 0xFF
            entry.ecx = entry.ecx & ~0x7FF
        default: break
        }
    }

    /// Leaf 0x0B: a level of threads, one a core, and a level of cores.
    private var extendedTopology: [CPUIDEntry] {
        let levels: [(type: UInt32, shift: UInt32, processors: UInt32)] = [
            (1, 0, 1), (2, coreBits, UInt32(count)), (0, 0, 0),
        ]
        return levels.enumerated().map { level, value in
            CPUIDEntry(
                function: 0x0B,
                index: UInt32(level),
                flags: 1,  // KVM_CPUID_FLAG_SIGNIFCANT_INDEX
                eax: value.shift,
                ebx: value.processors,
                ecx: UInt32(level) | value.type << 8,
                edx: apicID,
            )
        }
    }
}
