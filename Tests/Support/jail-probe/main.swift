// Confines itself as its arguments say and writes, one line each, what holds then and how each attempt went.
//
//     jail-probe [--waive LAYER]… [--identity root|UID] [--share FD:ro|rw]… [--errno] [--as UID] [--threads COUNT] [--files COUNT]
//                [--death-signal NUMBER] ATTEMPT…

import Glibc
import Jail
import LinuxSystem

var waived: Set<JailLayer> = []
var identity = JailPlan.Identity.unique
var shares: [JailPlan.Share] = []
var attempts: [String] = []
var isSoft = false
var limits = JailPlan.Limits()

var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    switch argument {
    case "--waive":
        if let layer = JailLayer(rawValue: arguments.popFirst() ?? "") { waived.insert(layer) }
    case "--identity":
        let value = arguments.popFirst() ?? ""
        identity = UInt32(value).map { .user(uid: $0, gid: $0) } ?? .unchanged
    case "--share":
        let parts = (arguments.popFirst() ?? "").split(separator: ":")
        shares.append(.init(descriptor: Int32(parts[0]) ?? -1, access: parts[1] == "rw" ? .readWrite : .readOnly))
    case "--errno":
        isSoft = true
    case "--as":
        let user = UInt32(arguments.popFirst() ?? "") ?? 65534
        try ProcessRestrictions.become(uid: user, gid: user)
        // As after the execve of an unprivileged user, who may write to its own /proc files.
        try ProcessRestrictions.setDumpable(true)
    case "--threads": limits.threads = UInt64(arguments.popFirst() ?? "") ?? 64
    case "--files": limits.openFiles = UInt64(arguments.popFirst() ?? "") ?? 1024
    case "--death-signal":
        try ProcessRestrictions.setParentDeathSignal(Int32(arguments.popFirst() ?? "") ?? 0)
    default: attempts.append(argument)
    }
}

func say(_ line: String) {
    // Nobody is left to tell when the pipe is closed.
    try? StandardStream.write(Array((line + "\n").utf8), to: 1)
}

var filters = WorkerFilters()
filters.servesShares = !shares.isEmpty
// What the filter does not know ends the process, or only fails, so that one run can show several attempts.
var filter = SeccompFilter(defaultAction: isSoft ? .errno(Errno(rawValue: EUCLEAN)) : .killProcess)
filter.formUnion(filters.starting)

var plan = JailPlan(seccomp: filter)
plan.waived = waived
plan.identity = identity
plan.shares = shares
plan.limits = limits

_ = Attempts.pipe

let clock = ContinuousClock()
let start = clock.now
do throws(JailError) {
    let report = try Jail.apply(plan)
    say(report.description)
} catch {
    say("refused \(error)")
    exit(2)
}
say("microseconds \((clock.now - start) / .microseconds(1))")

for attempt in attempts {
    guard let body = Attempts.all[attempt] else {
        say("\(attempt) = unknown")
        continue
    }
    say("\(attempt) = \(body())")
}
say("end")
exit(0)
