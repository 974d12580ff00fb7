internal import LinuxSystem

/// Extended attributes of the `user` kind, which regular files and directories have. All others are the host's own.
extension FUSEServer {
    private static let prefix = Array("user.".utf8)

    private func check(_ name: [UInt8]) throws(SyscallError) {
        if name.count > PathComponent.maxLength { throw refusal(.resultOutOfRange) }
        guard name.starts(with: Self.prefix), name.count > Self.prefix.count else { throw refusal(.notSupported) }
    }

    private func hasAttributes(_ node: Node) -> Bool { node.isRegular || node.isDirectory }

    /// The reply to a question whose asker told how much it has room for: 0 asks for the size alone.
    private func reply(_ value: [UInt8], size: UInt32) throws(SyscallError) -> FUSEReply {
        if size == 0 {
            var reply = FUSEReply()
            reply.append(UInt32(clamping: value.count))
            reply.append(UInt32(0))
            return reply
        }
        if value.count > Int(size) { throw refusal(.resultOutOfRange) }
        return FUSEReply(value)
    }

    func getxattr(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let size: UInt32 = try request.integer()
        try request.skip(4)
        let name = try request.string()
        try check(name)
        let node = try nodes.node(request.node)
        guard hasAttributes(node) else { throw refusal(.noData) }
        return try reply(try open(node, LinuxABI.readOnly).extendedAttribute(name), size: size)
    }

    func listxattr(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let size: UInt32 = try request.integer()
        let node = try nodes.node(request.node)
        guard hasAttributes(node) else { return try reply([], size: size) }
        let names = try open(node, LinuxABI.readOnly).extendedAttributeNames()
        let visible = names.split(separator: 0).filter { $0.starts(with: Self.prefix) }
        return try reply(visible.flatMap { $0 + [0] }, size: size)
    }

    func setxattr(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let size: UInt32 = try request.integer()
        let flags: UInt32 = try request.integer()
        let name = try request.string()
        try check(name)
        if size > OwnedFD.maxAttributeSize { throw refusal(.argumentsTooBig) }
        let value = try request.bytes(Int(size))
        try request.end()
        guard let change = OwnedFD.AttributeChange(rawValue: Int32(bitPattern: flags)) else {
            throw refusal(.invalidArgument)
        }
        let node = try nodes.node(request.node)
        guard hasAttributes(node) else { throw refusal(.notPermitted) }
        try open(node, LinuxABI.readOnly).setExtendedAttribute(name, to: value, change)
        return FUSEReply()
    }

    func removexattr(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let name = try request.string()
        try check(name)
        let node = try nodes.node(request.node)
        guard hasAttributes(node) else { throw refusal(.notPermitted) }
        try open(node, LinuxABI.readOnly).removeExtendedAttribute(name)
        return FUSEReply()
    }
}
