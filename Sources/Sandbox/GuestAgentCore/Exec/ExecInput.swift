internal import LinuxSystem

/// The standard input of an exec: what the host sent and the program has not yet taken. Confined to the loop's thread.
final class ExecInput {
    /// From attachments that came and went; the one that is attached holds at most its window.
    private static let maxLeftOver = 4 << 20
    private static let endOfTransmission: UInt8 = 4

    private struct Piece {
        var bytes: ArraySlice<UInt8>
        let sender: ExecAttachment
    }

    private var descriptor: WatchedDescriptor?
    private let isTerminal: Bool
    private var pieces: [Piece] = []
    private var isClosing = false

    init(_ descriptor: WatchedDescriptor, isTerminal: Bool) {
        self.descriptor = descriptor
        self.isTerminal = isTerminal
        descriptor.ready = { [weak self] _ in self?.pump() }
    }

    /// False while too much is left over from earlier attachments.
    var takesAttachment: Bool { pieces.reduce(0) { $0 + $1.bytes.count } <= Self.maxLeftOver }

    func append(_ bytes: [UInt8], from sender: ExecAttachment) {
        // Bytes for a program that reads no more are consumed, as a shell's pipe would do after a warning by signal.
        guard descriptor != nil, !isClosing else { return sender.inputConsumed(bytes.count) }
        pieces.append(Piece(bytes: bytes[...], sender: sender))
        pump()
    }

    /// No more input comes: the program sees the end after the last byte.
    func close() {
        guard !isClosing else { return }
        isClosing = true
        pump()
    }

    /// Lets go of everything, at the end of the exec.
    func discard() {
        descriptor?.stop()
        descriptor = nil
        let rest = pieces
        pieces = []
        for piece in rest { piece.sender.inputConsumed(piece.bytes.count) }
    }

    private func pump() {
        guard let descriptor else { return }
        while let piece = pieces.first {
            do throws(SyscallError) {
                switch try descriptor.fd.write(piece.bytes) {
                case .wouldBlock: return descriptor.watch(for: .writable)
                case .wrote(let count):
                    pieces[0].bytes = piece.bytes.dropFirst(count)
                    if pieces[0].bytes.isEmpty { pieces.removeFirst() }
                    piece.sender.inputConsumed(count)
                }
            } catch {
                // The program has closed its input. What it does not want is no error: `head` ends this way.
                return discard()
            }
        }
        descriptor.unwatch()
        guard isClosing else { return }
        // A terminal has no end of file but this character, at the start of a line.
        if isTerminal { _ = try? descriptor.fd.write([Self.endOfTransmission]) }
        discard()
    }
}
