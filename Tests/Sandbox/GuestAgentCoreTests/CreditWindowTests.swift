import Testing

@testable import GuestAgentCore

@Suite("Credit windows") struct CreditWindowTests {
    @Test func `a sender has what its receiver gave back`() {
        var window = SendWindow(capacity: 100)
        window.take(60)
        #expect(window.available == 40)
        let result1 = window.giveBack(50)
        #expect(result1)
        #expect(window.available == 90)
    }

    @Test func `credit for bytes that were never sent is a violation`() {
        var window = SendWindow(capacity: 100)
        window.take(10)
        let result2 = window.giveBack(11)
        #expect(!result2)
        #expect(window.available == 90)
    }

    @Test func `more bytes than the credit are a violation`() {
        var window = ReceiveWindow(capacity: 100)
        let result3 = window.accept(100)
        #expect(result3)
        let result4 = window.accept(1)
        #expect(!result4)
    }

    @Test func `credit is collected until it is worth a message`() {
        var window = ReceiveWindow(capacity: 800)
        let result5 = window.accept(500)
        #expect(result5)
        let result6 = window.consume(60)
        #expect(result6 == 0)
        let result7 = window.consume(60)
        #expect(result7 == 120)
        #expect(window.outstanding == 380)
    }

    @Test func `credit never waits when everything is consumed`() {
        var window = ReceiveWindow(capacity: 800)
        let result8 = window.accept(5)
        #expect(result8)
        let result9 = window.consume(2)
        #expect(result9 == 0)
        let result10 = window.consume(3)
        #expect(result10 == 5)
        let result11 = window.accept(800)
        #expect(result11)
    }
}
