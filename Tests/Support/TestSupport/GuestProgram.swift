import Foundation

/// A program that tests run in a box: a file of `Tests/Support/Programs`.
package enum GuestProgram: String {
    case shareChecks = "share_checks.py"
    case shareRace = "share_race.py"

    package var contents: [UInt8] {
        get throws {
            let programs = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Programs")
            return Array(try Data(contentsOf: programs.appending(path: rawValue)))
        }
    }
}
