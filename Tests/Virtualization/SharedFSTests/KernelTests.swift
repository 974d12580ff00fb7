import Foundation
import LinuxSystem
import Testing

@testable import SharedFS

/// The share behind a real kernel: this host's, which speaks the same protocol over /dev/fuse.
///
/// A child mounts it in a mount namespace of its own, so that nothing stays behind, and runs a script in it.
@Suite(
    "A share mounted by a kernel",
    .enabled(
        if: HostFacts.userID == 0 && HostFacts.mayReadAndWrite("/dev/fuse")
            && HostFacts.mayExecute("/usr/bin/unshare"),
        "needs root, /dev/fuse and unshare(1)"
    ),
    .timeLimit(.minutes(10))
)
struct KernelTests {
    /// What the script wrote: nothing, when all is well.
    private func run(
        _ script: String,
        _ change: (inout FUSEOptions) -> Void = { _ in },
        fill: (_ path: String) throws -> Void = { _ in },
    ) async throws -> String {
        let guest = try GuestKernel(
            initialize: false,
            {
                $0.guestOwner = .init(uid: 1000, gid: 1000)
                change(&$0)
            },
            fill: fill,
        )
        let mountPoint = "\(guest.path)/mount"
        try FileSystem.makeDirectories(mountPoint)
        let prelude = """
            set -u
            mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions share \(mountPoint) || exit 9
            echo >&4
            cd \(mountPoint) || exit 9
            fail() { echo "FAILED: $*"; }
            expect() { [ "$1" = "$2" ] || fail "$3: got $1, not $2"; }
            as() { id=$1; shift; setpriv --reuid="$id" --regid="$id" --clear-groups "$@"; }
            host=\(guest.path)/share

            """
        let device = try OwnedFD.open("/dev/fuse", OwnedFD.readWrite)
        let output = try OwnedFD.pipe()
        let mounted = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let child = try await Spawner().spawn(
            SpawnRequest(
                path: "/usr/bin/unshare",
                argv: ["unshare", "--mount", "--propagation", "private", "sh", "-c", prelude + script],
                environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/nonexistent"],
            ),
            descriptors: [
                nothing.rawValue, output.second.rawValue, output.second.rawValue, device.rawValue,
                mounted.second.rawValue,
            ],
        )
        let reading = output.keepFirst().relinquish()
        let serving = Serving(guest, try device.duplicate(), mounted.keepFirst())
        Thread { serving.run() }.start()
        let text = await withCheckedContinuation { continuation in
            Thread {
                let bytes = try? OwnedFD(adopting: reading).readAll(limit: 1 << 20)
                continuation.resume(returning: String(decoding: bytes ?? [], as: UTF8.self))
            }.start()
        }
        #expect(try await child.waitForEnd() == .exited(0))
        return text
    }

    /// The server with its thread: made on one, and used on the other only.
    private final class Serving: @unchecked Sendable {
        private let guest: GuestKernel
        private let device: OwnedFD
        private let mounted: OwnedFD

        init(_ guest: GuestKernel, _ device: consuming OwnedFD, _ mounted: consuming OwnedFD) {
            self.guest = guest
            self.device = device
            self.mounted = mounted
        }

        /// Serves until the mount is gone.
        func run() {
            // Before the mount there is nothing to read from; if it fails, the pipe ends.
            guard case .bytes? = try? mounted.read(upTo: 1) else { return }
            while case .bytes(let request)? = try? device.read(upTo: 1 << 20 + 4096) {
                guard let length = FUSERequest.controlLength(header: Array(request.prefix(40)), length: request.count)
                else {
                    Issue.record("a request of \(request.count) bytes")
                    return
                }
                var data = ArrayData(bytes: Array(request[length...]))
                do throws(FUSEViolation) {
                    let reply = try guest.server.handle(
                        Array(request[..<length]),
                        replyCapacity: 1 << 20 + 4096,
                        data: &data,
                    )
                    guard var reply else { continue }
                    if request[4] == FUSE.Opcode.read.rawValue, reply[4..<8].allSatisfy({ $0 == 0 }) {
                        reply += data.bytes
                    }
                    // The request may have been given up by now.
                    _ = try? device.write(reply[...])
                } catch {
                    Issue.record(error)
                    return
                }
            }
        }
    }

    @Test func `modes, umask and permissions are the guest's`() async throws {
        let output = try await run(
            """
            (umask 027; : > a; mkdir d); expect "$(stat -c %a:%u:%g a)" 640:1000:1000 umask
            expect "$(stat -c %a d)" 750 'umask of a directory'
            chmod 600 a; echo secret > a
            expect "$(as 1000 cat a)" secret 'the owner reads'
            as 1001 cat a 2>/dev/null && fail 'another user reads'
            chmod 755 . ; as 1001 sh -c 'echo > b' 2>/dev/null && fail 'another user creates'
            chmod 1777 .; as 1001 sh -c 'echo > b' || fail 'anyone may create in a sticky directory'
            as 1001 rm -f a 2>/dev/null && fail 'another user removes from a sticky directory'
            chown 1000:1000 a || fail 'chown to the owner'
            chown 0:0 a 2>/dev/null && fail 'chown to root'
            chmod 000 a; as 1000 cat a 2>/dev/null && fail 'a file without permissions'
            cat a > /dev/null || fail 'root reads anything'
            printf '#!/bin/sh\\necho ran' > x; as 1000 ./x 2>/dev/null && fail 'executed without permission'
            chmod 755 x; expect "$(as 1000 ./x)" ran execution
            mknod null c 1 3 2>/dev/null && fail 'a device node'
            true
            """
        )
        #expect(output == "")
    }

    @Test func `names, links and renames`() async throws {
        let output = try await run(
            """
            n=$(printf '%0255d' 7); touch "$n" || fail '255 bytes'; [ -f "$n" ] || fail '255 bytes found'
            touch "${n}0" 2>/dev/null && fail '256 bytes'
            rm "$n"
            echo one > a; ln a b; expect "$(stat -c %h a)" 2 'link count'; [ a -ef b ] || fail 'same file'
            rm a; expect "$(stat -c %h b)" 1 'link count after unlink'
            echo old > t; exec 5<>t; echo new > s; mv s t; expect "$(cat t)" new 'rename over'
            expect "$(cat <&5)" old 'replaced file lives on'; expect "$(stat -L -c %h /proc/self/fd/5)" 0 'no links'
            mkdir full empty dir; : > full/x; mv -T dir full 2>/dev/null && fail 'over a full directory'
            mv -T dir empty || fail 'over an empty directory'
            mv -n b t; expect "$(cat t)" new 'no replace'
            ln -s t l; expect "$(cat l)" new 'symlink'; ln -s loop loop; cat loop 2>/dev/null && fail loop
            ln -s "$host/../outside" out; expect "$(readlink out)" "$host/../outside" readlink
            (set -C; : > t) 2>/dev/null && fail 'noclobber'
            mkdir -p deep/a/b/c; (cd deep/a/b/c && mv ../../../../deep ../../../../moved && pwd -P > /dev/null) || fail 'moved under us'
            [ -d moved/a/b/c ] || fail 'moved'
            rmdir moved 2>/dev/null && fail 'rmdir of a full directory'
            mkfifo p; (echo through > p &) ; expect "$(cat p)" through FIFO
            """,
            fill: { try FileSystem.makeDirectories("\($0)/../outside") },
        )
        #expect(output == "")
    }

    @Test func `contents, space and times`() async throws {
        let output = try await run(
            """
            exec 6<>gone; rm gone; echo data >&6; expect "$(cat /proc/self/fd/6)" data 'unlinked while open'
            truncate -s 1G sparse; expect "$(stat -c %s sparse)" 1073741824 size
            [ "$(stat -c %b sparse)" -lt 100 ] || fail 'not sparse'
            echo tail >> sparse; expect "$(tail -c 5 sparse)" tail 'append to sparse'
            cp --sparse=always sparse copy; [ "$(stat -c %b copy)" -lt 100 ] || fail 'copy not sparse'
            fallocate -l 1M space; [ "$(stat -c %b space)" -ge 2048 ] || fail fallocate
            fallocate -p -o 0 -l 512K space; [ "$(stat -c %b space)" -le 1100 ] || fail 'punch hole'
            : > log
            for w in 1 2 3 4; do (i=0; while [ $i -lt 250 ]; do echo "$w-$i-$(printf '%050d' $i)" >> log; i=$((i + 1)); done) & done; wait
            expect "$(sort -u log | wc -l)" 1000 'concurrent appends'
            touch -d '2001-02-03 04:05:06.123456789 UTC' t; expect "$(stat -c %.9Y t)" 981173106.123456789 mtime
            touch -a -d '1969-12-31 00:00:00 UTC' t; expect "$(stat -c %X t)" -86400 'atime before 1970'
            expect "$(stat -c %.9Y t)" 981173106.123456789 'mtime kept'
            echo 0123456789 > cut; truncate -s 4 cut; expect "$(cat cut)" 0123 truncate
            head -c 5000000 /dev/urandom > big; cp big big2; cmp big big2 || fail 'copy'
            dd if=big of=big2 bs=70001 conv=notrunc,fsync 2>/dev/null; cmp big big2 || fail 'odd blocks'
            cmp big "$host/big" || fail 'host differs'
            echo host > "$host/fresh"; expect "$(cat fresh)" host 'a file of the host'
            echo changed-by-host > "$host/fresh"; expect "$(cat fresh)" changed-by-host 'a change by the host'
            rm "$host/fresh"; cat fresh 2>/dev/null && fail 'removed by the host'
            (flock -n 9 || fail lock; flock -n big true && fail 'lock taken twice') 9>>big
            sync -f . || fail syncfs
            df . > /dev/null || fail statfs
            """
        ) {
            $0.attributeTimeout = .zero
            $0.entryTimeout = .zero
        }
        #expect(output == "")
    }

    @Test(arguments: [8, 65536]) func `trees are copied, compared and removed, whatever the number of descriptors`(
        _ descriptors: Int
    ) async throws {
        let output = try await run(
            """
            mkdir t; cd t
            for d in 1 2 3 4 5; do mkdir -p $d/$d; for f in $(seq 200); do echo $d.$f > $d/$d/$f; done; ln -s 1/1/1 l$d; done
            expect "$(find . -type f | wc -l)" 1000 find
            cp -a . ../u; diff -r . ../u || fail 'copies differ'
            cat 3/3/* > /dev/null || fail 'reading'
            cd ..; rm -rf t || fail 'rm -rf'; [ -e t ] && fail 'still there'
            [ -e "$host/t" ] && fail 'still on the host'
            tar cf u.tar u && rm -rf u && tar xf u.tar && expect "$(find u -type f | wc -l)" 1000 tar
            ls -lR u > /dev/null || fail 'ls'
            """
        ) { $0.maxDescriptors = descriptors }
        #expect(output == "")
    }

    @Test func `a read-only share can be read and not changed`() async throws {
        let output = try await run(
            """
            expect "$(cat d/a)" text read
            for c in 'touch b' 'rm d/a' 'mkdir x' 'mv d e' 'ln d/a b' 'chmod 777 d/a' 'truncate -s 0 d/a' 'ln -s x y'; do
                sh -c "$c" 2>/dev/null && fail "$c"
            done
            (echo x > d/a) 2>/dev/null && fail write
            expect "$(cat d/a)" text unchanged
            """,
            { $0.isReadOnly = true },
            fill: { path in
                try FileSystem.makeDirectories("\(path)/d")
                try FileSystem.replace("\(path)/d/a", with: "text")
            },
        )
        #expect(output == "")
    }
}
