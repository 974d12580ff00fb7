import Skills

extension FuzzTarget {
    /// A SKILL.md of somebody else's.
    static let skill = FuzzTarget("skill") { bytes in
        _ = try? SkillDocument(parsing: "---\n" + String(decoding: bytes, as: UTF8.self))
    }
}
