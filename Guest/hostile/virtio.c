#include "virtio.h"

struct device devices[MAX_DEVICES];
unsigned device_count;

/// How long a device may take: the host may be emulated, and busy.
#define PATIENCE 10000

static void add_device(u64 base) {
    if (device_count == MAX_DEVICES || load32(base + MAGIC) != 0x74726976) return;
    struct device *d = &devices[device_count++];
    d->base = base;
    d->kind = load32(base + KIND);
}

/// `virtio_mmio.device=4K@0xADDRESS:LINE`, any number of them.
void find_devices(const char *line) {
    for (; *line; line++) {
        if (!starts_with(line, "virtio_mmio.device=")) continue;
        while (*line && *line != '@' && *line != ' ') line++;
        if (*line == '@') add_device(number(line + 1, &line));
        if (!*line) return;
    }
}

const char *kind_name(u32 kind) {
    switch (kind) {
    case NET: return "net";
    case BLOCK: return "block";
    case CONSOLE: return "console";
    case ENTROPY: return "entropy";
    case BALLOON: return "balloon";
    case VSOCK: return "vsock";
    case FS: return "fs";
    default: return "other";
    }
}

// MARK: Status

bool negotiate(struct device *d) {
    set(d, STATUS, 0);
    if (get(d, STATUS) != 0) return false;
    set(d, STATUS, S_ACKNOWLEDGE);
    set(d, STATUS, S_ACKNOWLEDGE | S_DRIVER);
    for (u32 word = 0; word < 2; word++) {
        set(d, DEVICE_FEATURES_SELECT, word);
        set(d, DRIVER_FEATURES_SELECT, word);
        set(d, DRIVER_FEATURES, get(d, DEVICE_FEATURES));
    }
    set(d, STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
    return get(d, STATUS) & S_FEATURES_OK;
}

static void place_queue(struct queue *q, u16 number) {
    u64 place = ARENA + number * QUEUE_ROOM;
    q->number = number;
    q->size = q->largest > 256 ? 256 : q->largest;
    q->descriptors = (volatile struct descriptor *)place;
    q->available = (volatile u16 *)(place + 0x4000);
    q->used = (volatile u16 *)(place + 0x6000);
    q->table = (volatile struct descriptor *)(place + 0x10000);
    q->data = place + 0x20000;
    q->offered = q->seen = 0;
    fill(place, 0, 0x10000);
}

void place_queues(struct device *d) {
    for (d->queue_count = 0; d->queue_count < MAX_QUEUES; d->queue_count++) {
        struct queue *q = &d->queues[d->queue_count];
        set(d, QUEUE_SELECT, d->queue_count);
        q->largest = (u16)get(d, QUEUE_SIZE_MAX);
        if (!q->largest) break;
        place_queue(q, d->queue_count);
        set(d, QUEUE_SIZE, q->size);
        set(d, DESCRIPTORS, (u32)(u64)q->descriptors);
        set(d, DESCRIPTORS + 4, 0);
        set(d, AVAILABLE, (u32)(u64)q->available);
        set(d, AVAILABLE + 4, 0);
        set(d, USED, (u32)(u64)q->used);
        set(d, USED + 4, 0);
        set(d, QUEUE_READY, 1);
    }
}

/// A message on the console's control queue.
static void send_control(struct device *d, u16 event) {
    struct queue *q = &d->queues[3];
    store32(q->data, 0);
    store16(q->data + 4, event);
    store16(q->data + 6, 1);
    describe(q, 0, q->data, 8, 0, 0);
    offer(q, 0);
    kick(d, q);
    take_used(q, 0, PATIENCE);
}

bool start(struct device *d) {
    if (!negotiate(d)) return false;
    place_queues(d);
    set(d, STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
    if (!(get(d, STATUS) & S_DRIVER_OK)) return false;
    // A console moves nothing before its port is open: DEVICE_READY, PORT_READY, PORT_OPEN.
    if (d->kind == CONSOLE && d->queue_count >= 4) {
        send_control(d, 0);
        send_control(d, 3);
        send_control(d, 6);
    }
    return true;
}

// MARK: Queues

static void write_descriptor(
    volatile struct descriptor *d, u64 address, u32 count, u16 flags, u16 next) {
    d->address = address;
    d->count = count;
    d->flags = flags;
    d->next = next;
}

void describe(struct queue *q, u16 index, u64 address, u32 count, u16 flags, u16 next) {
    write_descriptor(&q->descriptors[index], address, count, flags, next);
}

void describe_indirect(struct queue *q, u32 index, u64 address, u32 count, u16 flags, u16 next) {
    write_descriptor(&q->table[index], address, count, flags, next);
}

void set_available(struct queue *q, u16 index) {
    fence();
    q->available[1] = q->offered = index;
    fence();
}

void offer(struct queue *q, u16 head) {
    q->available[2 + q->offered % q->size] = head;
    set_available(q, (u16)(q->offered + 1));
}

bool has_used(struct queue *q) {
    fence();
    return q->used[1] != q->seen;
}

bool take_used(struct queue *q, u32 *written, u64 limit) {
    u64 start = now();
    while (!has_used(q)) {
        if (now() - start > limit) return false;
        pause();
    }
    if (written) *written = load32((u64)q->used + 4 + 8 * (u64)(q->seen % q->size) + 4);
    q->seen++;
    return true;
}

// MARK: Requests

bool is_inbound(struct device *d, struct queue *q) {
    switch (d->kind) {
    case NET: return q->number == 0;
    case CONSOLE: return q->number % 2 == 0;
    case VSOCK: return q->number != 1;
    case ENTROPY: return true;
    default: return false;
    }
}

static u32 fuse_request(u64 at, u32 opcode, u32 length) {
    store32(at, length);
    store32(at + 4, opcode);
    store64(at + 8, 1);
    store64(at + 16, 1);
    fill(at + 24, 0, 16);
    return length;
}

u32 write_request(struct device *d, struct queue *q) {
    u64 at = q->data;
    fill(at, 0, 256);
    switch (d->kind) {
    case BLOCK: return 16; // Read sector 0.
    case CONSOLE:
        if (q->number == 3) store16(at + 4, 1); // An event that a device does not expect, which it ignores.
        return q->number == 3 ? 8 : 64;
    case FS: // FUSE_INIT of version 7.38.
        store32(at + 40, 7);
        store32(at + 44, 38);
        store32(at + 48, 65536);
        return fuse_request(at, 26, 56);
    case NET: return 12 + 60;
    case VSOCK: // OP_RST of a connection that there is not, from us to the host.
        store64(at, 3);
        store64(at + 8, 2);
        store32(at + 16, 1);
        store32(at + 20, 1);
        store16(at + 28, 1);
        store16(at + 30, 3);
        return 44;
    case BALLOON: store32(at, (u32)((q->data + 0x20000) >> 12)); return 4;
    default: return 16;
    }
}

void offer_request(struct device *d, struct queue *q) {
    u64 reply = q->data + 0x1000;
    if (is_inbound(d, q)) {
        describe(q, 0, reply, d->kind == ENTROPY ? 64 : 4096, D_WRITE, 0);
    } else {
        u32 count = write_request(d, q);
        bool has_reply = d->kind == BLOCK || d->kind == FS;
        describe(q, 0, q->data, count, has_reply ? D_NEXT : 0, 1);
        describe(q, 1, reply, 513 - (d->kind == FS), D_WRITE, 0);
    }
    offer(q, 0);
}

/// The queue on which a request is always answered.
static struct queue *probe_queue(struct device *d) {
    switch (d->kind) {
    case CONSOLE: return &d->queues[3];
    case FS:
    case NET:
    case VSOCK: return &d->queues[1];
    default: return &d->queues[0];
    }
}

bool serves(struct device *d) {
    if (!start(d)) return false;
    struct queue *q = probe_queue(d);
    u32 written = 0;
    fill(q->data + 0x1000, 0xFF, 1024);
    offer_request(d, q);
    kick(d, q);
    if (!take_used(q, &written, PATIENCE) || is_broken(d)) return false;
    switch (d->kind) {
    case BLOCK: return written == 513 && load8(q->data + 0x1000 + 512) == 0;
    case FS: return written >= 16 && load32(q->data + 0x1000 + 4) == 0;
    case ENTROPY: return written == 64;
    default: return true;
    }
}
