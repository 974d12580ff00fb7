/// Hands inputs of libFuzzer to `body` until the time on the command line is over, or an input makes it crash.
///
/// `body` gets a copy of each input, so that a read beyond its end is a trap of Swift and not a read of libFuzzer's memory.
public func fuzz(_ body: @escaping @Sendable ([UInt8]) -> Void) -> Never {
    unsafe target = body
    var count = CommandLine.argc
    var arguments = unsafe CommandLine.unsafeArgv
    let status = unsafe runDriver(&count, &arguments) { bytes, count in
        unsafe target(Array(UnsafeBufferPointer(start: bytes, count: count)))
        return 0
    }
    fatalError("libFuzzer returned \(status)")
}

/// A C callback has no context. Set once, before the first input.
private nonisolated(unsafe) var target: @Sendable ([UInt8]) -> Void = { _ in }

/// `LLVMFuzzerRunDriver` of libFuzzer; ends the process itself where it finds a crash.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt,
) -> CInt
