internal import LinuxSystem

/// What holds the processes of an exec together, so that all of them can be ended.
enum ExecCage {
    case controlGroup(ControlGroup)
    /// Where there is no cgroup to make: a program that leaves its session escapes.
    case processGroup(leader: Int32)

    func kill() {
        switch self {
        case .controlGroup(let group): group.kill()
        case .processGroup(let leader): ProcessGroup.signal(leader, ProcessGroup.kill)
        }
    }

    var isPopulated: Bool {
        switch self {
        case .controlGroup(let group): group.isPopulated
        case .processGroup(let leader): ProcessGroup.exists(leader)
        }
    }

    var ranOutOfMemory: Bool {
        switch self {
        case .controlGroup(let group): group.outOfMemoryKills > 0
        case .processGroup: false
        }
    }

    /// Calls `body` once, when nothing lives in it any more.
    func whenEmpty(on loop: EventLoop, _ body: @escaping () -> Void) {
        switch self {
        case .controlGroup(let group): group.whenEmpty(on: loop, body)
        case .processGroup(let leader): Self.poll(leader, on: loop, body)
        }
    }

    /// Nothing reports the end of a process group.
    private static func poll(_ leader: Int32, on loop: EventLoop, _ body: @escaping () -> Void) {
        _ = loop.schedule(after: .milliseconds(5)) {
            if ProcessGroup.exists(leader) { poll(leader, on: loop, body) } else { body() }
        }
    }

    func remove() {
        if case .controlGroup(let group) = self { group.remove() }
    }
}
