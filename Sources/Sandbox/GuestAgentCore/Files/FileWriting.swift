internal import GuestAPI
internal import LinuxSystem
internal import Primitives
internal import TTRPC

/// A file that the host writes in pieces. Confined to the loop's thread; the call keeps it.
final class FileWriting {
    private var file: PendingFile?
    private let path: String
    private let call: Call
    private var window = ReceiveWindow(capacity: StreamLimit.fileWrite)

    init(_ file: PendingFile, _ call: Call) {
        self.file = file
        path = file.path
        self.call = call
    }

    func begin() {
        call.onAbandoned { [self] in file = nil }
        call.onMessage(Voidbox_Guest_V1_WriteFileInput.self) { [self] input throws(TTRPCStatus) in
            do throws(TTRPCStatus) {
                try take(input)
            } catch {
                file = nil
                throw error
            }
        }
    }

    private func take(_ input: Voidbox_Guest_V1_WriteFileInput) throws(TTRPCStatus) {
        guard let file else { return }
        switch input.kind {
        case .data(let data):
            guard data.count <= StreamLimit.message, window.accept(data.count) else {
                throw TTRPCStatus(.invalidArgument, "\(path): \(data.count) bytes exceed the limit or the credit")
            }
            try TTRPCStatus.mapping(path) { () throws(SyscallError) in try file.append(data) }
            let credit = window.consume(data.count)
            guard credit > 0 else { return }
            var output = Voidbox_Guest_V1_WriteFileOutput()
            output.credit = credit
            call.send(output)
        case .commit:
            try TTRPCStatus.mapping(path) { () throws(SyscallError) in try file.commit() }
            self.file = nil
            call.finish()
        case .open, nil: throw TTRPCStatus(.invalidArgument, "\(path) is open: this input cannot follow")
        }
    }
}
