internal import FoundationEssentials
internal import GuestAPI
internal import LinuxSystem
internal import Primitives
internal import TTRPC

/// A file that the host reads in pieces. Confined to the loop's thread; the call keeps it.
final class FileReading {
    private let file: OwnedFD
    private let path: String
    private var rest: UInt64
    private let call: Call
    private var window = SendWindow(capacity: StreamLimit.fileRead)
    private var isOver = false

    /// - Parameter length: 0 for all that is there.
    init(_ file: consuming OwnedFD, path: String, length: UInt64, _ call: Call) {
        self.file = file
        self.path = path
        rest = length == 0 ? .max : length
        self.call = call
    }

    func begin() {
        call.onAbandoned { [self] in isOver = true }
        call.onMessage(Voidbox_Guest_V1_ReadFileInput.self) { [self] input throws(TTRPCStatus) in
            guard case .credit(let count) = input.kind else {
                throw TTRPCStatus(.invalidArgument, "\(path) is open: this input cannot follow")
            }
            guard window.giveBack(count) else {
                throw TTRPCStatus(.invalidArgument, "\(path): credit for \(count) bytes that were not sent")
            }
            pump()
        }
        pump()
    }

    private func pump() {
        while !isOver, rest > 0, window.available > 0 {
            let count = min(window.available, StreamLimit.message, Int(clamping: rest))
            do throws(SyscallError) {
                switch try file.read(upTo: count) {
                case .bytes(let bytes):
                    window.take(bytes.count)
                    rest -= UInt64(bytes.count)
                    var output = Voidbox_Guest_V1_ReadFileOutput()
                    output.data = Data(bytes)
                    call.send(output)
                case .endOfFile: rest = 0
                // Some files of the kernel have no data yet, and no end.
                case .wouldBlock: throw SyscallError(.again, call: "read")
                }
            } catch {
                isOver = true
                return call.fail(TTRPCStatus(error, on: path))
            }
        }
        guard !isOver, rest == 0 else { return }
        isOver = true
        call.finish()
    }
}
