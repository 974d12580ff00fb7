internal import ArgumentParser
internal import HostSession

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @OptionGroup var global: GlobalOptions

    func run() throws {
        switch global.output {
        case .human: try Console.out("voidbox \(VoidBoxVersion.current)")
        case .json: try Console.json(["name": "voidbox", "version": VoidBoxVersion.current])
        }
    }
}
