import Foundation
import LinuxSystem
import Sandboxing
import TestSupport
import Testing

/// A box whose network is a stream of frames that somebody else serves.
@Suite("Contract: network of frames", .takesBoxSlot) struct NetworkContractTests {
    private static let script = """
        import os, socket, struct
        print(open("/sys/class/net/eth0/mtu").read().strip())
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.settimeout(30)
        for n in (1, 1000, 9000, 60000):
            data = bytes(i * 7 % 251 for i in range(n))
            u.sendto(data, ("10.0.2.2", 7))
            print(n, u.recv(65536) == data)
        p = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        p.settimeout(30)
        body = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + bytes(56)
        total = sum(struct.unpack("!32H", body))
        total = (total & 0xFFFF) + (total >> 16)
        p.sendto(body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:], ("10.0.2.2", 1))
        while True:
            reply = p.recv(2048)[20:]
            if reply[0] == 0: break
        print("ping", reply[4:] == body[4:])
        t = socket.create_connection(("10.0.2.2", 9), timeout=60)
        t.sendall(bytes(1 << 20))
        t.shutdown(socket.SHUT_WR)
        print(t.recv(100).decode())
        """

    @Test(arguments: ContractBackend.real)
    func `datagrams, pings and a connection cross a network of frames`(_ backend: ContractBackend) async throws {
        let (peer, end) = try FramePeer.start()
        try await backend.withBox({ $0.network = .frames(end) }) { box in
            var request = ExecRequest(["python3", "-c", Self.script])
            request.user = "root"
            request.timeout = .seconds(120)
            let result = try await box.run(request)
            #expect(
                result.text == "65520\n1 True\n1000 True\n9000 True\n60000 True\nping True\n1048576\n",
                "\(result.errorText)"
            )
            let warnings = try await box.health().warnings
            #expect(warnings == [])
        }
        let counts = peer.counts
        #expect(counts.badChecksums == 0)
        #expect(counts.pings == 1)
        #expect(counts.longestFrame > 60_000)
        #expect(counts.longestSegment == 1460, "no longer than the peer asked for")
    }

    @Test func `a box of our own machine monitor with the backend's network says what is missing`() async throws {
        guard ContractBackend.all.contains(.kvm) else { return }
        let error = try await ContractBackend.kvm.bootError { $0.network = .user }
        #expect(error?.code == .unsupported)
        #expect(error?.description.contains("voidbox-net") == true)
    }
}
