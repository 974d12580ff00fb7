internal import FoundationEssentials
internal import GuestAPI
internal import Primitives
internal import TTRPC

/// The stream between an exec and the client that listens to it. Confined to the loop's thread.
final class ExecAttachment {
    let call: Call
    /// Sent, and not yet consumed by the client: if it goes before it does, the next one gets it.
    private(set) var unconsumed = OutputRing(capacity: StreamLimit.execOutput)
    private var output = SendWindow(capacity: StreamLimit.execOutput)
    private var input = ReceiveWindow(capacity: StreamLimit.execInput)

    init(_ call: Call) {
        self.call = call
    }

    /// How many bytes of output the client takes now.
    var room: Int { output.available }

    func sendStarted(id: String, pid: Int32) {
        var message = Voidbox_Guest_V1_ExecOutput()
        message.started.execID = id
        message.started.pid = UInt32(clamping: pid)
        call.send(message)
    }

    /// - Parameter bytes: At most `room`.
    func send(_ bytes: some Collection<UInt8>, from stream: OutputRing.Stream) {
        output.take(bytes.count)
        unconsumed.append(Array(bytes), from: stream)
        var message = Voidbox_Guest_V1_ExecOutput()
        switch stream {
        case .stdout: message.stdout = Data(bytes)
        case .stderr: message.stderr = Data(bytes)
        }
        call.send(message)
    }

    func finish(_ exited: Voidbox_Guest_V1_ExecExited) {
        var message = Voidbox_Guest_V1_ExecOutput()
        message.exited = exited
        call.send(message)
        call.finish()
    }

    func addCredit(_ count: UInt32) throws(TTRPCStatus) {
        guard output.giveBack(count) else {
            throw TTRPCStatus(.invalidArgument, "credit for \(count) bytes of output that were not sent")
        }
        unconsumed.removeFirst(Int(count))
    }

    func accept(input count: Int) throws(TTRPCStatus) {
        guard count <= StreamLimit.message, input.accept(count) else {
            throw TTRPCStatus(.invalidArgument, "\(count) bytes of input exceed the message limit or the credit")
        }
    }

    /// The program took bytes of this client's input.
    func inputConsumed(_ count: Int) {
        let credit = input.consume(count)
        guard credit > 0 else { return }
        var message = Voidbox_Guest_V1_ExecOutput()
        message.stdinCredit = credit
        call.send(message)
    }
}
