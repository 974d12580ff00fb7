// Abuse of what one kind of device understands.
#include "cases.h"

/// One request of a device: a readable part at `q->data`, then a writable one a page behind it. What was written; ~0 if
/// nothing came back.
static u32 request(struct device *d, struct queue *q, u32 readable, u32 writable) {
    u32 written = 0;
    if (readable) describe(q, 0, q->data, readable, writable ? D_NEXT : 0, 1);
    if (writable) describe(q, readable ? 1 : 0, q->data + 0x1000, writable, D_WRITE, 0);
    offer(q, 0);
    kick(d, q);
    u64 begin = now();
    while (!take_used(q, &written, 1)) {
        if (is_broken(d) || now() - begin > 10000) return ~0u;
    }
    return written;
}

// MARK: Disk

static u8 block_request(struct device *d, u32 kind, u64 sector, u32 output, u32 input) {
    struct queue *q = &d->queues[0];
    store32(q->data, kind);
    store32(q->data + 4, 0);
    store64(q->data + 8, sector);
    store8(q->data + 0x1000 + input, 0xEE);
    return request(d, q, 16 + output, input + 1) == ~0u ? 0xFF : load8(q->data + 0x1000 + input);
}

void block_requests(struct device *d) {
    if (d->kind != BLOCK) return;
    check(start(d), "it starts");
    struct queue *q = &d->queues[0];
    u64 sectors = load32(d->base + CONFIGURATION) | (u64)load32(d->base + CONFIGURATION + 4) << 32;
    set(d, DEVICE_FEATURES_SELECT, 0);
    bool is_read_only = get(d, DEVICE_FEATURES) & 1 << 5;
    const u64 places[] = {sectors, sectors - 1, ~0ULL, ~0ULL / 512, ~0ULL / 512 + 1, 1ULL << 55, 1ULL << 63};
    for (unsigned index = 0; index < sizeof places / sizeof *places; index++) {
        check(block_request(d, 0, places[index], 0, 1024) == 1, "a read beyond the disk is an error");
        check(block_request(d, 1, places[index], 1024, 0) == 1, "a write beyond the disk is an error");
    }
    check(block_request(d, 0, 0, 0, 511) == 1, "half a sector is an error");
    check(block_request(d, 0, 0, 0, 0) != 0xFF, "no data is answered");
    check(block_request(d, 1, 0, 512, 0) == (is_read_only ? 1 : 0), "a disk is written if it may be");
    for (u32 kind = 0; kind < 64; kind++) {
        if (kind > 1) check(block_request(d, kind, ~0ULL, 8, 8) != 0xFF, "every kind is answered");
    }
    // Ranges to discard and to zero: beyond the disk, all of it many times, with flags, with too many segments.
    for (u32 kind = 11; kind <= 13; kind += 2) {
        for (u32 segments = 1; segments <= 64; segments *= 2) {
            for (u32 index = 0; index < segments; index++) {
                store64(q->data + 16 + 16 * index, index % 2 ? ~0ULL - index : sectors);
                store32(q->data + 24 + 16 * index, 0xFFFFFFFF);
                store32(q->data + 28 + 16 * index, (u32)random());
            }
            check(block_request(d, kind, 0, 16 * segments, 0) == 1, "ranges beyond the disk are an error");
        }
        check(block_request(d, kind, 0, 15, 0) == 1, "part of a range is an error");
    }
    // A header in sixteen pieces, and data in one buffer with the status.
    for (u16 index = 0; index < 16; index++) describe(q, index, q->data + index, 1, D_NEXT, index + 1);
    fill(q->data, 0, 16);
    describe(q, 16, q->data + 0x1000, 513, D_WRITE, 0);
    offer(q, 0);
    kick(d, q);
    check(take_used(q, 0, 10000) && load8(q->data + 0x1200) == 0, "a header in pieces is a header");
    // More than there is of the disk, as much as memory allows at once.
    store32(q->data, 0);
    store64(q->data + 8, 0);
    describe(q, 0, q->data, 16, D_NEXT, 1);
    describe(q, 1, ARENA + 0x200000, 0x1000000, D_WRITE | D_NEXT, 2);
    describe(q, 2, q->data + 0x1000, 1, D_WRITE, 0);
    offer(q, 0);
    kick(d, q);
    check(take_used(q, 0, 10000), "16 MiB are answered");
    // Flushes without end.
    u64 begin = now(), count = 0;
    for (; now() - begin < duration; count++) block_request(d, 4, 0, 0, 0);
    say("%u flushes", count);
    check(!is_broken(d), "requests that fail break nothing");
    // What cannot be answered.
    const u32 headers[] = {1, 15};
    for (unsigned index = 0; index < 2; index++) {
        check(start(d), "it starts");
        check(request(d, q, headers[index], 1) == ~0u, "a short header breaks the device");
    }
    check(start(d), "it starts");
    check(request(d, q, 16, 0) == ~0u, "a request without room for its status breaks the device");
    check(serves(d), "it serves again after a reset");
}

/// Reads while the host takes the file's end away.
void truncated_disk(struct device *d) {
    if (d->kind != BLOCK) return;
    check(start(d), "it starts");
    u64 sectors = load32(d->base + CONFIGURATION), begin = now();
    check(block_request(d, 0, sectors - 1, 0, 512) == 0, "the last sector is there");
    say("TRUNCATE");
    while (block_request(d, 0, sectors - 1, 0, 512) == 0 && now() - begin < 20000) pause();
    check(block_request(d, 0, sectors - 1, 0, 512) == 1, "what is gone is an error");
    check(block_request(d, 0, 0, 0, 512) == 0, "what is left is there");
    check(!is_broken(d), "the device goes on");
}

// MARK: Network

void frames(struct device *d) {
    if (d->kind != NET) return;
    check(start(d), "it starts");
    struct queue *q = &d->queues[1];
    u64 begin = now(), count = 0, restarts = 0;
    const u32 lengths[] = {1, 11, 12, 13, 25, 26, 60, 1526, 65550, 65562, 65563, 100000, 0x80000};
    while (count < LEAST_ROUNDS || now() - begin < duration) {
        // Header: flags, kind of offload, header length, segment size, checksum start and offset, buffers.
        for (u64 offset = 0; offset < 64; offset += 8) store64(q->data + offset, random());
        if (random() % 2) store64(q->data, random() % 8);
        u32 length = lengths[random() % 13];
        describe(q, 0, q->data, length < 12 ? length : 12, length > 12 ? D_NEXT : 0, 1);
        if (length > 12) describe(q, 1, q->data + 12, length - 12, 0, 0);
        offer(q, 0);
        kick(d, q);
        take_used(q, 0, 20);
        count++;
        if (is_broken(d)) {
            restarts++;
            check(start(d), "it starts again");
        }
    }
    say("%u frames, %u resets", count, restarts);
    check(serves(d), "it serves after frames");
}

// MARK: Sockets

static void vsock_packet(struct queue *q, u16 operation, u32 port, u32 length) {
    store64(q->data, 3);
    store64(q->data + 8, 2);
    store32(q->data + 16, port);
    store32(q->data + 20, (u32)(random() % 4 ? 1024 + random() % 4 : random()));
    store32(q->data + 24, length);
    store16(q->data + 28, 1);
    store16(q->data + 30, operation);
    store32(q->data + 32, (u32)random());
    // Credit: room that it does not have, bytes that it did not take.
    store32(q->data + 36, (u32)(random() % 2 ? 0 : random()));
    store32(q->data + 40, (u32)(random() % 2 ? 0xFFFFFFFF : random()));
}

void vsock_packets(struct device *d) {
    if (d->kind != VSOCK) return;
    check(start(d), "it starts");
    struct queue *q = &d->queues[1], *receive = &d->queues[0];
    u64 begin = now(), count = 0, restarts = 0;
    while (count < LEAST_ROUNDS || now() - begin < 2 * duration) {
        u16 operation = (u16)(random() % 10);
        // Connection requests from ever new ports for the first half.
        bool connects = now() - begin < duration;
        u32 length = random() % 4 ? 0 : (u32)(random() % 3 ? random() % 4096 : random());
        vsock_packet(q, connects ? 1 : operation, connects ? (u32)count : (u32)(random() % 64), connects ? 0 : length);
        if (random() % 32 == 0) store64(q->data + random() % 44, random());
        describe(q, 0, q->data, 44, length ? D_NEXT : 0, 1);
        describe(q, 1, q->data + 0x1000, length % 4096 + 1, 0, 0);
        offer(q, 0);
        kick(d, q);
        take_used(q, 0, 20);
        // Room for answers, some of the time.
        if (random() % 2) {
            describe(receive, 0, receive->data, 4096, D_WRITE, 0);
            offer(receive, 0);
            kick(d, receive);
            while (has_used(receive)) receive->seen++;
            if ((u16)(receive->offered - receive->used[1]) >= receive->size / 2) check(start(d), "it starts again");
        }
        count++;
        if (is_broken(d)) {
            restarts++;
            check(start(d), "it starts again");
        }
    }
    say("%u packets, %u resets", count, restarts);
    check(serves(d), "it serves after packets");
}

#define ROOMS 64

static void give_room(struct device *d, struct queue *receive, u16 id) {
    describe(receive, id, receive->data + 4096ULL * id, 4096, D_WRITE, 0);
    offer(receive, id);
    kick(d, receive);
}

static bool start_with_room(struct device *d) {
    if (!start(d)) return false;
    for (u16 id = 0; id < ROOMS; id++) give_room(d, &d->queues[0], id);
    return true;
}

/// Counts what the host said, by operation, and makes room again.
static void hear(struct device *d, struct queue *receive, u64 *heard) {
    while (has_used(receive)) {
        u16 id = (u16)load32((u64)receive->used + 4 + 8 * (u64)(receive->seen % receive->size));
        receive->seen++;
        if (id >= ROOMS) continue;
        heard[load16(receive->data + 4096ULL * id + 30) % 8]++;
        give_room(d, receive, id);
    }
}

/// Connections that come about, and then break every rule of their credit and their order: that costs the connection, and not
/// the device. To ports of the host whose programs talk, do not read, or are not there.
static void broken_streams(struct device *d) {
    check(start_with_room(d), "it starts");
    struct queue *q = &d->queues[1];
    u64 begin = now(), count = 0, heard[8] = {0};
    const u16 operations[] = {1, 1, 5, 5, 5, 6, 7, 4, 3, 2};
    while (count < 10 * LEAST_ROUNDS || now() - begin < 2 * duration) {
        u16 operation = operations[random() % 10];
        u32 port = (u32)(random() % 64), length = operation == 5 ? (u32)(random() % 0x8000) : 0;
        vsock_packet(q, operation, port, length);
        store32(q->data + 20, 1024 + port % 4);
        // Sometimes without a lie about credit, so that data flows both ways.
        if (random() % 2) {
            store32(q->data + 36, 0x10000);
            store32(q->data + 40, 0);
        }
        describe(q, 0, q->data, 44, length ? D_NEXT : 0, 1);
        if (length) describe(q, 1, q->data + 0x1000, length, 0, 0);
        offer(q, 0);
        kick(d, q);
        check(take_used(q, 0, 10000), "a packet is taken where there is room for answers");
        hear(d, &d->queues[0], heard);
        count++;
        if (is_broken(d)) break;
    }
    say("%u packets, %u connections, %u of data", count, heard[2], heard[5]);
    say("%u resets, %u shutdowns", heard[3], heard[4]);
    check(!is_broken(d), "a broken connection does not break the device");
    check(heard[2] > 0 && heard[3] > 0, "some are connected, some refused");
}

/// Connects to ever new ports without room for answers: what the host owes is bounded, and is paid when there is room.
static void unanswered_connects(struct device *d) {
    check(start(d), "it starts");
    struct queue *q = &d->queues[1];
    u64 count = 0, heard[8] = {0};
    do {
        vsock_packet(q, 1, (u32)count, 0);
        // Half of them where nobody is.
        store32(q->data + 20, 1024 + (u32)(count % 2) * 8);
        describe(q, 0, q->data, 44, 0, 0);
        offer(q, 0);
        kick(d, q);
    } while (take_used(q, 0, 500) && count++ < 4096);
    check(count < 4096, "connects that are not answered come to an end");
    for (u16 id = 0; id < ROOMS; id++) give_room(d, &d->queues[0], id);
    u64 begin = now();
    while (!has_used(q) && now() - begin < 10000) hear(d, &d->queues[0], heard);
    check(has_used(q), "it goes on where there is room");
    say("%u connects without an answer", count);
}

void vsock_streams(struct device *d) {
    if (d->kind != VSOCK) return;
    broken_streams(d);
    unanswered_connects(d);
    check(serves(d), "it serves after broken streams");
}

// MARK: Shares

void file_requests(struct device *d) {
    if (d->kind != FS) return;
    check(start(d), "it starts");
    struct queue *q = &d->queues[1];
    u64 begin = now(), count = 0, restarts = 0;
    while (count < LEAST_ROUNDS || now() - begin < 2 * duration) {
        u32 real = 40 + (u32)(random() % 200), said = random() % 4 ? real : (u32)random();
        for (u64 offset = 0; offset < 240; offset += 8) store64(q->data + offset, random() % 4 ? random() % 3 : random());
        // Names: "..", a path, one without an end.
        if (random() % 2) store32(q->data + 40 + 8 * (random() % 4), random() % 2 ? 0x2E2E : 0x2F2E2E2F);
        if (count % 50 == 0) real = said = write_request(d, q);
        else {
            store32(q->data, said);
            store32(q->data + 4, (u32)(random() % 56));
            store64(q->data + 16, random() % 8 ? random() % 4 : random());
        }
        request(d, q, real, (u32)(random() % 5000) + (random() % 4 ? 16 : 1));
        count++;
        if (is_broken(d)) {
            restarts++;
            check(start(d), "it starts again");
        }
    }
    say("%u file requests, %u resets", count, restarts);
    check(serves(d), "it serves after file requests");
}

// MARK: Floods of one kind

/// As much as goes, with escape sequences of terminals.
void console_flood(struct device *d) {
    if (d->kind != CONSOLE) return;
    check(start(d), "it starts");
    struct queue *q = &d->queues[1];
    for (u64 offset = 0; offset < 0x10000; offset += 8) store64(q->data + offset, 0x0A6D31335B1B0007ULL);
    for (u16 index = 0; index < q->size; index++) describe(q, index, q->data, 0x10000, 0, 0);
    u64 begin = now(), count = 0;
    while (now() - begin < duration) {
        while ((u16)(q->offered - q->used[1]) < q->size) offer(q, q->offered % q->size);
        kick(d, q);
        fence();
        u16 done = (u16)(q->used[1] - q->seen);
        count += done;
        q->seen = (u16)(q->seen + done);
    }
    say("%u MiB to the console", count / 16);
    // Control messages, without room for the answers.
    struct queue *control = &d->queues[3];
    for (begin = now(), count = 0; now() - begin < duration; count++) {
        store32(control->data, (u32)(random() % 3));
        store16(control->data + 4, (u16)(random() % 9));
        store16(control->data + 6, (u16)(random() % 3));
        describe(control, 0, control->data, 8, 0, 0);
        offer(control, 0);
        kick(d, control);
        take_used(control, 0, 10000);
    }
    say("%u control messages", count);
    check(!is_broken(d), "a flood breaks nothing");
    check(serves(d), "it serves after a flood");
}

void serial_flood(void) {
    u64 begin = now(), count = 0;
    while (now() - begin < 2 * duration) {
        for (int times = 0; times < 64; times++, count++) out8(0x3F8, (u8)random());
        u64 from = ARENA, strings = 1024;
        __asm__ volatile("rep outsb" : "+S"(from), "+c"(strings) : "d"(0x3F8) : "memory");
        count += 1024;
    }
    // Room for what is to be heard.
    for (begin = now(); now() - begin < 300;) pause();
    out8(0x3F8, '\n');
    say("%u bytes to the serial line", count);
}

/// Requests as large as memory, where the device decides how much it does.
void large_requests(struct device *d) {
    if (d->kind != ENTROPY && d->kind != BALLOON) return;
    check(start(d), "it starts");
    u64 begin = now(), count = 0, written = 0;
    while (count < 4 || now() - begin < 2 * duration) {
        struct queue *q = &d->queues[random() % d->queue_count];
        u32 result = 0;
        // A balloon gets numbers of pages, most of which are not there. The program's own are left out.
        u64 pages = memory_end >> 12;
        if (d->kind == BALLOON)
            for (u64 offset = 0; offset < 0x8000; offset += 4)
                store32(q->data + offset, (u32)(random() % 2 ? random() : (ARENA >> 12) + 0x1000 + random() % (pages - (ARENA >> 12) - 0x1000)));
        describe(q, 0, d->kind == BALLOON ? q->data : ARENA + 0x400000, 0x1000000, d->kind == BALLOON ? 0 : D_WRITE, 0);
        offer(q, 0);
        kick(d, q);
        if (take_used(q, &result, d->kind == BALLOON ? 50 : 10000)) written += result;
        count++;
        check(result <= 65536, "no more than 64 KiB at once");
        if (is_broken(d)) check(start(d), "it starts again");
    }
    say("%u large requests, %u bytes", count, written);
    check(serves(d), "it serves after large requests");
}

/// Fetches instructions from registers.
void run_in_a_device(void) {
    say("EXECUTE");
    ((void (*)(void))devices[0].base)();
}
