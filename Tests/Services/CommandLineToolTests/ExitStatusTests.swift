import Sandboxing
import Testing

@testable import CommandLineTool

@Suite("Exit status") struct ExitStatusTests {
    @Test func `how a program ended`() {
        #expect(ExitStatus(of: ExecExit(status: .code(7))).code == 7)
        #expect(ExitStatus(of: ExecExit(status: .signal(9))).code == 137)
        #expect(ExitStatus(of: ExecExit(status: .signal(9), timedOut: true)).code == 124)
    }

    @Test(
        arguments: [
            (.cannotStart, 127), (.programNotAllowed, 126), (.hostUnsupported, 3), (.bootFailed, 125),
            (.machineEnded, 125), (.protocolViolation, 125),
        ] as [(SandboxError.Code, Int32)]
    )
    func `why there is no status of a program`(_ code: SandboxError.Code, _ status: Int32) {
        #expect(ExitStatus(ofProgram: SandboxError(code, resource: "x", "y")).code == status)
    }
}
