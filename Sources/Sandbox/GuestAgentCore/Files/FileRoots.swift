internal import TTRPC

/// Where file calls may go, and how a path of a call is found below that.
struct FileRoots: Equatable {
    /// A path of a call: a root that is allowed, and the way from there.
    struct Location: Equatable {
        let root: String
        let components: [String]

        /// Relative to the root, for `openat2`.
        var relative: String { components.isEmpty ? "." : components.joined(separator: "/") }
        /// The same file for messages.
        var path: String { (root == "/" ? "" : root) + "/" + components.joined(separator: "/") }
        var isWholeSystem: Bool { root == "/" }
        var name: String? { components.last }
        var parent: Location? { components.isEmpty ? nil : Location(root: root, components: components.dropLast()) }
    }

    /// As components, longest first, so that the nearest root is found first.
    private let roots: [[String]]

    /// - Parameter paths: Absolute; none means everything.
    init(_ paths: [String]) {
        let paths = paths.isEmpty ? ["/"] : paths
        roots = paths.map(Self.split).sorted { $0.count > $1.count }
    }

    /// Throws if the path is not one, or outside the roots.
    ///
    /// Below a root that is narrower than the whole system, ".." is refused: what it would mean behind a link is not what
    /// it seems to.
    func locate(_ path: String) throws(TTRPCStatus) -> Location {
        guard path.hasPrefix("/") else { throw TTRPCStatus(.invalidArgument, "\(Self.quoted(path)) is not absolute") }
        guard path.utf8.count < 4096, !path.utf8.contains(0) else {
            throw TTRPCStatus(.invalidArgument, "\(Self.quoted(path)) is longer than a path or holds a zero byte")
        }
        let components = Self.split(path)
        guard let root = roots.first(where: { components.starts(with: $0) }) else {
            throw outside(path)
        }
        if !root.isEmpty, components.contains("..") {
            throw TTRPCStatus(.permissionDenied, "\(path): \"..\" is not allowed below \(Self.join(root))")
        }
        return Location(root: Self.join(root), components: Array(components.dropFirst(root.count)))
    }

    /// Like `locate`, for calls that need a name in a directory.
    func locateEntry(_ path: String) throws(TTRPCStatus) -> (directory: Location, name: String) {
        let location = try locate(path)
        guard let directory = location.parent, let name = location.name, name != ".." else {
            throw TTRPCStatus(.invalidArgument, "\(path): this names no entry of a directory")
        }
        return (directory, name)
    }

    func outside(_ path: String) -> TTRPCStatus {
        let list = roots.map(Self.join).sorted().joined(separator: ", ")
        return TTRPCStatus(.permissionDenied, "\(path) is outside of the directories open to file calls (\(list))")
    }

    private static func split(_ path: String) -> [String] {
        path.split(separator: "/").filter { $0 != "." }.map(String.init)
    }

    private static func join(_ components: [String]) -> String { "/" + components.joined(separator: "/") }

    private static func quoted(_ path: String) -> String { path.prefix(200).debugDescription }
}
