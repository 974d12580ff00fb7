import Primitives
import Testing

@Suite("Credit windows") struct CreditWindowTests {
    @Test func `a sender has what its receiver gave back`() {
        var window = SendWindow(capacity: 100)
        window.take(60)
        #expect(window.available == 40)
        #expect(window.giveBack(50) == true)
        #expect(window.available == 90)
    }

    @Test func `credit for bytes that were never sent is a violation`() {
        var window = SendWindow(capacity: 100)
        window.take(10)
        #expect(window.giveBack(11) == false)
        #expect(window.available == 90)
    }

    @Test func `more bytes than the credit are a violation`() {
        var window = ReceiveWindow(capacity: 100)
        #expect(window.accept(100) == true)
        #expect(window.accept(1) == false)
    }

    @Test func `credit is collected until it is worth a message`() {
        var window = ReceiveWindow(capacity: 800)
        #expect(window.accept(500) == true)
        #expect(window.consume(60) == 0)
        #expect(window.consume(60) == 120)
        #expect(window.outstanding == 380)
    }

    @Test func `credit never waits when everything is consumed`() {
        var window = ReceiveWindow(capacity: 800)
        #expect(window.accept(5) == true)
        #expect(window.consume(2) == 0)
        #expect(window.consume(3) == 5)
        #expect(window.accept(800) == true)
    }
}
