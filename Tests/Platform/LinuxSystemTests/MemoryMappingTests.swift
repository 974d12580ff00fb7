import LinuxSystem
import Testing

@Suite("Memory mapping") struct MemoryMappingTests {
    @Test(arguments: [4096, 2 << 20, 1 << 30])
    func `pages begin at a multiple, and all of them are there`(_ alignment: Int) throws {
        // In between, so that the next one does not begin where it should by itself.
        let page = try MemoryMapping(anonymous: 4096)
        let pages = try MemoryMapping(anonymous: 3 * 4096, alignment: alignment)
        let start = unsafe pages.baseAddress
        #expect(Int(bitPattern: start) % alignment == 0)
        #expect(page.count == 4096 && pages.count == 3 * 4096)
        for index in [0, pages.count - 1] { unsafe start.storeBytes(of: 7, toByteOffset: index, as: UInt8.self) }
        #expect(unsafe start.load(fromByteOffset: pages.count - 1, as: UInt8.self) == 7)
    }
}
