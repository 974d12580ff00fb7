import FuzzDriver
import Skills

/// A SKILL.md of somebody else's.
fuzz { bytes in
    _ = try? SkillDocument(parsing: "---\n" + String(decoding: bytes, as: UTF8.self))
}
