/// Who a program runs as.
struct Account: Equatable {
    var name: String
    var uid: UInt32
    var gid: UInt32
    /// Supplementary groups, the primary one included.
    var groups: [UInt32]
    var home: String
    var shell: String
}

/// `/etc/passwd` and `/etc/group`, parsed here: glibc's lookup loads plug-ins, which a static program cannot.
struct UserDatabase {
    private struct Entry {
        let name: String
        let uid: UInt32
        let gid: UInt32
        let home: String
        let shell: String
    }

    private struct Group {
        let gid: UInt32
        let members: [String]
    }

    enum LookupError: Error, Equatable {
        case unknownUser(String)
        case malformed(String)
    }

    static let sandboxName = "sandbox"
    static let sandboxID: UInt32 = 1000

    /// The default user, which is the same in every box whose image does not name one of its own.
    private static let sandbox = Account(
        name: sandboxName,
        uid: sandboxID,
        gid: sandboxID,
        groups: [sandboxID],
        home: "/home/sandbox",
        shell: "/bin/sh",
    )

    private let entries: [Entry]
    private let groups: [Group]

    /// Lines that are not of the form that passwd(5) and group(5) give are left out, as glibc does.
    init(passwd: String, group: String) {
        entries = passwd.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count >= 7, !fields[0].isEmpty, let uid = UInt32(fields[2]), let gid = UInt32(fields[3]) else {
                return nil
            }
            return Entry(
                name: String(fields[0]),
                uid: uid,
                gid: gid,
                home: String(fields[5]),
                shell: String(fields[6]),
            )
        }
        groups = group.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count >= 4, let gid = UInt32(fields[2]) else { return nil }
            return Group(gid: gid, members: fields[3].split(separator: ",").map(String.init))
        }
    }

    /// - Parameter specification: A name, `uid`, `uid:gid`, or nothing for the default user.
    func account(_ specification: String) throws(LookupError) -> Account {
        let wanted = specification.isEmpty ? Self.sandboxName : specification
        if let entry = entries.first(where: { $0.name == wanted }) { return account(of: entry) }
        if wanted == Self.sandboxName { return Self.sandbox }

        let parts = wanted.split(separator: ":", omittingEmptySubsequences: false)
        guard let first = parts.first, first.allSatisfy(\.isNumber) else { throw .unknownUser(wanted) }
        // The highest number means "leave it as it is" to the kernel, which would be root here.
        guard parts.count <= 2, let uid = UInt32(first), uid != .max else { throw .malformed(wanted) }
        if parts.count == 1 { return account(uid: uid, gid: nil) }
        guard let gid = UInt32(parts[1]), gid != .max else { throw .malformed(wanted) }
        return account(uid: uid, gid: gid)
    }

    private func account(uid: UInt32, gid: UInt32?) -> Account {
        if let entry = entries.first(where: { $0.uid == uid }) {
            var account = account(of: entry)
            if let gid {
                account.gid = gid
                account.groups = [gid]
            }
            return account
        }
        var account = Account(name: String(uid), uid: uid, gid: uid, groups: [], home: "/", shell: "/bin/sh")
        if uid == Self.sandboxID { account = Self.sandbox }
        account.gid = gid ?? account.gid
        account.groups = [account.gid]
        return account
    }

    private func account(of entry: Entry) -> Account {
        let supplementary = groups.filter { $0.members.contains(entry.name) && $0.gid != entry.gid }.map(\.gid)
        return Account(
            name: entry.name,
            uid: entry.uid,
            gid: entry.gid,
            groups: [entry.gid] + supplementary,
            home: entry.home.isEmpty ? "/" : entry.home,
            shell: entry.shell.isEmpty ? "/bin/sh" : entry.shell,
        )
    }
}
