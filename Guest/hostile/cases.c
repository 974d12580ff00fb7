#include "cases.h"

u64 duration = 500;
unsigned failures;

void check(bool holds, const char *what) {
    if (holds) return;
    failures++;
    say("FAILED %s", what);
}

/// Whether a device takes requests from this queue whenever it is kicked, instead of when it has something to say.
static bool is_served_at_once(struct device *d, struct queue *q) {
    switch (d->kind) {
    case BLOCK:
    case ENTROPY:
    case FS: return true;
    case CONSOLE: return q->number % 2 == 1;
    case NET:
    case VSOCK: return q->number == 1;
    case BALLOON: return q->number < 2;
    default: return false;
    }
}

static u16 direction(struct device *d, struct queue *q) { return is_inbound(d, q) ? D_WRITE : 0; }

// MARK: Attacks with one chain

struct attack {
    const char *name;
    /// Nothing may come back but the wish to be reset.
    bool is_refused;
    void (*build)(struct device *, struct queue *);
};

/// Waits for an answer; the outcome in a word.
static const char *settle(struct device *d, struct queue *q) {
    u64 limit = is_served_at_once(d, q) ? 10000 : 30, start = now();
    for (;;) {
        if (has_used(q)) return "served";
        if (is_broken(d)) return "reset";
        if (now() - start > limit) return "silent";
        for (int spin = 0; spin < 100; spin++) pause();
    }
}

static void attack_queue(struct device *d, u16 number, const struct attack *attack) {
    if (!start(d)) {
        check(false, "the device does not start");
        return;
    }
    struct queue *q = &d->queues[number];
    attack->build(d, q);
    kick(d, q);
    const char *outcome = settle(d, q);
    say("%s queue %u: %s", attack->name, (u64)number, outcome);
    if (attack->is_refused) {
        check(!starts_with(outcome, "served"), attack->name);
        if (is_served_at_once(d, q)) check(starts_with(outcome, "reset"), attack->name);
    }
    // Broken or not, what comes now must not move it.
    for (int times = 0; times < 3; times++) kick(d, q);
}

static void attack_device(struct device *d, const struct attack *attacks, unsigned count) {
    if (!start(d)) {
        check(false, "the device does not start");
        return;
    }
    u16 queues = d->queue_count;
    for (unsigned index = 0; index < count; index++) {
        for (u16 number = 0; number < queues; number++) attack_queue(d, number, &attacks[index]);
        check(serves(d), "it serves again after a reset");
    }
}

#define ATTACK(name, refused, body)                                                                                    \
    {                                                                                                                  \
        name, refused, lambda_##body                                                                                   \
    }
#define BUILD(name) static void lambda_##name(struct device *d __attribute__((unused)), struct queue *q)

BUILD(loop) {
    describe(q, 0, q->data, 16, direction(d, q) | D_NEXT, 1);
    describe(q, 1, q->data, 16, direction(d, q) | D_NEXT, 0);
    offer(q, 0);
}
BUILD(self_loop) {
    describe(q, 0, q->data, 16, direction(d, q) | D_NEXT, 0);
    offer(q, 0);
}
BUILD(next_out) {
    describe(q, 0, q->data, 16, direction(d, q) | D_NEXT, q->size);
    offer(q, 0);
}
BUILD(next_max) {
    describe(q, 0, q->data, 16, direction(d, q) | D_NEXT, 65535);
    offer(q, 0);
}
BUILD(head_out) { offer(q, q->size); }
BUILD(head_max) { offer(q, 65535); }
BUILD(empty) {
    describe(q, 0, q->data, 0, direction(d, q), 0);
    offer(q, 0);
}
BUILD(backwards) {
    describe(q, 0, q->data, 16, D_WRITE | D_NEXT, 1);
    describe(q, 1, q->data + 16, 16, 0, 0);
    offer(q, 0);
}
BUILD(odd_table) {
    describe(q, 0, (u64)q->table, 17, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(empty_table) {
    describe(q, 0, (u64)q->table, 0, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(looping_table) {
    describe_indirect(q, 0, q->data, 16, direction(d, q) | D_NEXT, 1);
    describe_indirect(q, 1, q->data, 16, direction(d, q) | D_NEXT, 0);
    describe(q, 0, (u64)q->table, 32, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(nested_table) {
    describe_indirect(q, 0, (u64)q->table, 16, D_INDIRECT, 0);
    describe(q, 0, (u64)q->table, 16, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(table_with_next) {
    describe_indirect(q, 0, q->data, 16, direction(d, q), 0);
    describe(q, 0, (u64)q->table, 16, D_INDIRECT | D_NEXT, 1);
    describe(q, 1, q->data, 16, direction(d, q), 0);
    offer(q, 0);
}
BUILD(table_next_out) {
    describe_indirect(q, 0, q->data, 16, direction(d, q) | D_NEXT, 2);
    describe(q, 0, (u64)q->table, 32, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(table_outside) {
    describe(q, 0, memory_end - 16, 32, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(table_at_max) {
    describe(q, 0, ~0ULL - 15, 32, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(table_in_gap) {
    describe(q, 0, d->base, 64, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(long_table) {
    for (u32 index = 0; index <= q->size; index++)
        describe_indirect(q, index, q->data, 16, direction(d, q) | (index < q->size ? D_NEXT : 0), (u16)(index + 1));
    describe(q, 0, (u64)q->table, 16 * (q->size + 1u), D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(huge_table) {
    describe_indirect(q, 0, q->data, 16, direction(d, q), 0);
    describe(q, 0, (u64)q->table, 65536 * 16, D_INDIRECT, 0);
    offer(q, 0);
}
BUILD(whole_queue) {
    for (u16 index = 0; index < q->size; index++)
        describe(q, index, q->data + index, 16, direction(d, q) | (index + 1 < q->size ? D_NEXT : 0), index + 1);
    offer(q, 0);
}
BUILD(same_head) {
    describe(q, 0, q->data, 16, direction(d, q), 0);
    for (u16 index = 0; index < q->size; index++) offer(q, 0);
}
BUILD(strange_flags) {
    describe(q, 0, q->data, 16, direction(d, q) | 0xFFF8, 0);
    offer(q, 0);
}

void malformed_chains(struct device *d) {
    static const struct attack attacks[] = {
        ATTACK("loop", true, loop),
        ATTACK("loop of one", true, self_loop),
        ATTACK("next beyond the queue", true, next_out),
        ATTACK("largest next", true, next_max),
        ATTACK("head beyond the queue", true, head_out),
        ATTACK("largest head", true, head_max),
        ATTACK("empty buffer", true, empty),
        ATTACK("readable behind writable", true, backwards),
        ATTACK("table of odd length", true, odd_table),
        ATTACK("empty table", true, empty_table),
        ATTACK("table that loops", true, looping_table),
        ATTACK("table in a table", true, nested_table),
        ATTACK("table with a next", true, table_with_next),
        ATTACK("next beyond the table", true, table_next_out),
        ATTACK("table across the end of memory", true, table_outside),
        ATTACK("table at the end of addresses", true, table_at_max),
        ATTACK("table in a device", true, table_in_gap),
        ATTACK("chain longer than the queue", true, long_table),
        ATTACK("table of 65536", true, huge_table),
        ATTACK("chain as long as the queue", false, whole_queue),
        ATTACK("one head many times", false, same_head),
        ATTACK("flags that there are not", false, strange_flags),
    };
    attack_device(d, attacks, sizeof attacks / sizeof *attacks);
}

#define BUFFER(name, address, count, flags)                                                                            \
    BUILD(name) {                                                                                                      \
        describe(q, 0, address, count, flags, 0);                                                                      \
        offer(q, 0);                                                                                                   \
    }

BUFFER(across_end, memory_end - 4, 64, direction(d, q))
BUFFER(at_end, memory_end, 1, direction(d, q))
BUFFER(in_gap, 0xD0000000, 64, direction(d, q))
BUFFER(in_own_window, d->base, 64, direction(d, q))
BUFFER(in_apic, 0xFEE00000, 64, direction(d, q))
BUFFER(at_max, ~0ULL, 1, direction(d, q))
BUFFER(around_zero, ~0ULL - 15, 32, direction(d, q))
BUFFER(negative, 1ULL << 63, 64, direction(d, q))
BUFFER(four_gib, ARENA, 0xFFFFFFFF, direction(d, q))
BUFFER(across_high_end, (high_memory_end ? high_memory_end : 1ULL << 32) - 4, 64, direction(d, q))
BUFFER(at_zero, 0, 512, direction(d, q))
BUFFER(over_descriptors, (u64)q->descriptors, 4096, direction(d, q))
BUFFER(over_available, (u64)q->available, 518, direction(d, q))
BUFFER(over_used, (u64)q->used, 2054, direction(d, q))
BUFFER(read_for_write, q->data, 64, 0)
BUFFER(write_for_read, q->data, 64, D_WRITE)
BUILD(too_much) {
    for (u16 index = 0; index < q->size; index++)
        describe(q, index, ARENA, 0x1800000, direction(d, q) | (index + 1 < q->size ? D_NEXT : 0), index + 1);
    offer(q, 0);
}

void malformed_buffers(struct device *d) {
    static const struct attack attacks[] = {
        ATTACK("buffer across the end of memory", true, across_end),
        ATTACK("buffer at the end of memory", true, at_end),
        ATTACK("buffer in the gap", true, in_gap),
        ATTACK("buffer in its own registers", true, in_own_window),
        ATTACK("buffer in the interrupt controller", true, in_apic),
        ATTACK("buffer at the last address", true, at_max),
        ATTACK("buffer around zero", true, around_zero),
        ATTACK("buffer at 2^63", true, negative),
        ATTACK("buffer of 4 GiB", true, four_gib),
        ATTACK("buffer across the end of high memory", true, across_high_end),
        ATTACK("gibibytes in one chain", true, too_much),
        ATTACK("buffer at zero", false, at_zero),
        ATTACK("buffer over its descriptors", false, over_descriptors),
        ATTACK("buffer over the available ring", false, over_available),
        ATTACK("buffer over the used ring", false, over_used),
        ATTACK("readable where it writes", false, read_for_write),
        ATTACK("writable where it reads", false, write_for_read),
    };
    attack_device(d, attacks, sizeof attacks / sizeof *attacks);
}

/// Well-formed requests that change while the device looks at them.
void changing_descriptors(struct device *d) {
    static const u64 addresses[] = {0, ~0ULL, 0xD0000000, ARENA, ~0ULL - 15};
    static const u32 counts[] = {0, 1, 16, 512, 0xFFFFFFFF, 0x1000000};
    u64 begin = now(), rounds = 0, restarts = 0;
    check(start(d), "it starts");
    while (rounds < LEAST_ROUNDS || now() - begin < duration) {
        struct queue *q = &d->queues[random() % d->queue_count];
        offer_request(d, q);
        kick(d, q);
        for (int flip = 0; flip < 300 && !has_used(q); flip++) {
            volatile struct descriptor *entry = &q->descriptors[random() % 2];
            struct descriptor good = {entry->address, entry->count, entry->flags, entry->next};
            switch (random() % 5) {
            case 0: entry->address = addresses[random() % 5]; break;
            case 1: entry->count = counts[random() % 6]; break;
            case 2: entry->flags = (u16)(random() % 8); break;
            case 3: entry->next = (u16)(random() % 300); break;
            default: q->available[2 + random() % q->size] = (u16)random();
            }
            fence();
            entry->address = good.address;
            entry->count = good.count;
            entry->flags = good.flags;
            entry->next = good.next;
        }
        rounds++;
        if (is_broken(d)) {
            restarts++;
            check(start(d), "it starts again");
        }
        q->seen = q->used[1];
    }
    say("changed descriptors in %u rounds, %u resets", rounds, restarts);
    check(serves(d), "it serves again after a reset");
}

// MARK: Queues

static void set_queue(struct device *d, struct queue *q, u64 reg, u64 value) {
    set(d, QUEUE_SELECT, q->number);
    set(d, reg, (u32)value);
    if (reg != QUEUE_SIZE && reg != QUEUE_READY) set(d, reg + 4, (u32)(value >> 32));
}

static void activate(struct device *d) {
    set(d, STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

/// A queue that no device may take, once at each place.
static void refused_sizes(struct device *d, u16 number) {
    u32 sizes[] = {0, 3, d->queues[number].largest * 2u, 65535, 65536, 0xFFFFFFFF, 0x80000000};
    for (unsigned index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        check(negotiate(d), "it negotiates");
        place_queues(d);
        struct queue *q = &d->queues[number];
        set_queue(d, q, QUEUE_READY, 0);
        set_queue(d, q, QUEUE_SIZE, sizes[index]);
        set_queue(d, q, QUEUE_READY, 1);
        check(get(d, QUEUE_READY) == 0, "a queue without a size is not ready");
        activate(d);
        offer_request(d, q);
        kick(d, q);
    }
}

static void refused_places(struct device *d, u16 number) {
    struct {
        u64 reg, value;
    } places[] = {
        {DESCRIPTORS, memory_end - 64}, {DESCRIPTORS, ~0ULL - 15}, {DESCRIPTORS, ARENA + 8}, {DESCRIPTORS, d->base},
        {AVAILABLE, memory_end - 2},    {AVAILABLE, ~0ULL - 1},    {AVAILABLE, ARENA + 1},   {AVAILABLE, 1ULL << 63},
        {USED, memory_end - 4},         {USED, ~0ULL - 3},         {USED, ARENA + 2},        {USED, 0xFEE00000},
    };
    for (unsigned index = 0; index < sizeof places / sizeof *places; index++) {
        check(negotiate(d), "it negotiates");
        place_queues(d);
        struct queue *q = &d->queues[number];
        set_queue(d, q, QUEUE_READY, 0);
        set_queue(d, q, places[index].reg, places[index].value);
        set_queue(d, q, QUEUE_READY, 1);
        activate(d);
        u64 begin = now();
        while (!is_broken(d) && now() - begin < 10000) pause();
        check(is_broken(d), "rings that there are not break the device");
        kick(d, q);
    }
}

static void overlapping_rings(struct device *d, u16 number) {
    for (int which = 0; which < 3; which++) {
        check(negotiate(d), "it negotiates");
        place_queues(d);
        struct queue *q = &d->queues[number];
        set_queue(d, q, QUEUE_READY, 0);
        if (which != 1) set_queue(d, q, USED, (u64)q->available);
        if (which != 0) set_queue(d, q, AVAILABLE, (u64)q->descriptors);
        set_queue(d, q, QUEUE_READY, 1);
        activate(d);
        offer_request(d, q);
        for (int times = 0; times < 20; times++) kick(d, q);
    }
}

static void jumping_index(struct device *d, u16 number) {
    const u16 jumps[] = {0, 0x8000, 65535};
    for (unsigned index = 0; index < 3; index++) {
        check(start(d), "it starts");
        struct queue *q = &d->queues[number];
        set_available(q, (u16)(q->offered + (index ? jumps[index] : q->size + 1)));
        kick(d, q);
        const char *outcome = settle(d, q);
        check(!starts_with(outcome, "served"), "an index that jumps");
        if (is_served_at_once(d, q)) check(starts_with(outcome, "reset"), "an index that jumps breaks the device");
    }
}

/// What is written to the registers of a queue while the device serves leaves it where it was.
static void late_changes(struct device *d) {
    check(start(d), "it starts");
    u64 begin = now();
    for (int round = 0; round < 200 && now() - begin < duration; round++) {
        for (u16 number = 0; number < d->queue_count; number++) {
            struct queue *q = &d->queues[number];
            set_queue(d, q, QUEUE_READY, 0);
            set_queue(d, q, QUEUE_SIZE, 2);
            set_queue(d, q, DESCRIPTORS, memory_end - 16);
            set_queue(d, q, AVAILABLE, ~0ULL - 1);
            set_queue(d, q, USED, 0xD0000000);
            check(get(d, QUEUE_READY) == 1, "a queue stays ready while the device serves");
            set_queue(d, q, QUEUE_READY, 1);
        }
        if (is_served_at_once(d, &d->queues[0])) {
            offer_request(d, &d->queues[0]);
            kick(d, &d->queues[0]);
            check(take_used(&d->queues[0], 0, 10000), "it serves on");
        }
    }
    check(!is_broken(d), "late changes are ignored");
}

static void missing_queues(struct device *d) {
    check(negotiate(d), "it negotiates");
    activate(d);
    for (u32 queue = 0; queue < MAX_QUEUES; queue++) set(d, NOTIFY, queue);
    const u32 numbers[] = {0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65536, d->queue_count};
    for (unsigned index = 0; index < 5; index++) {
        check(negotiate(d), "it negotiates");
        set(d, QUEUE_SELECT, numbers[index]);
        check(get(d, QUEUE_SIZE_MAX) == 0, "there is no such queue");
        for (u64 reg = QUEUE_SIZE; reg < 0x100; reg += 4) {
            if (reg != STATUS) set(d, reg, 16);
        }
        check(get(d, QUEUE_READY) == 0, "what is not there is not ready");
        activate(d);
        set(d, NOTIFY, numbers[index]);
    }
}

void malformed_queues(struct device *d) {
    check(start(d), "it starts");
    u16 count = d->queue_count;
    for (u16 number = 0; number < count; number++) {
        refused_sizes(d, number);
        refused_places(d, number);
        overlapping_rings(d, number);
        jumping_index(d, number);
        check(serves(d), "it serves again after a reset");
    }
    late_changes(d);
    missing_queues(d);
    check(serves(d), "it serves again after a reset");
}

// MARK: Status

static void refused_features(struct device *d) {
    for (int which = 0; which < 3; which++) {
        set(d, STATUS, 0);
        set(d, STATUS, S_ACKNOWLEDGE | S_DRIVER);
        // All there may be, none, and none but version 1 with one that is not offered.
        set(d, DRIVER_FEATURES_SELECT, 0);
        set(d, DRIVER_FEATURES, which == 1 ? 0 : 0xFFFFFFFF);
        set(d, DRIVER_FEATURES_SELECT, 1);
        set(d, DRIVER_FEATURES, which == 1 ? 0 : which == 0 ? 0xFFFFFFFF : 1);
        set(d, STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
        check(!(get(d, STATUS) & S_FEATURES_OK), "features that were not offered are refused");
        activate(d);
        check(!(get(d, STATUS) & S_DRIVER_OK), "no device without features");
    }
    set(d, STATUS, 0);
    activate(d);
    check(start(d), "it starts");
    set(d, DRIVER_FEATURES_SELECT, 0);
    set(d, DRIVER_FEATURES, 0xFFFFFFFF);
    set(d, STATUS, S_ACKNOWLEDGE);
    check((get(d, STATUS) & 15) == 15, "bits of the status stay");
    set(d, STATUS, 15 | S_FAILED);
    for (u16 number = 0; number < d->queue_count; number++) kick(d, &d->queues[number]);
}

static void resets_during_requests(struct device *d) {
    u64 begin = now(), rounds = 0;
    while (now() - begin < duration) {
        if (!start(d)) {
            check(false, "it starts");
            return;
        }
        for (u16 number = 0; number < d->queue_count; number++) {
            struct queue *q = &d->queues[number];
            offer_request(d, q);
            for (u16 index = 1; index < q->size / 2; index++) offer(q, 0);
            kick(d, q);
        }
        for (u64 wait = random() % 2000; wait; wait--) pause();
        set(d, STATUS, 0);
        // From here on the memory is the driver's: what is found changed later was written late.
        for (u16 number = 0; number < d->queue_count; number++) {
            struct queue *q = &d->queues[number];
            fill((u64)q->used, 0xA5, 4096);
            fill((u64)q->descriptors, 0xFF, 0x4000);
            fill(q->data, 0xA5, 0x2000);
        }
        for (int wait = 0; wait < 2000; wait++) pause();
        for (u16 number = 0; number < d->queue_count; number++) {
            struct queue *q = &d->queues[number];
            for (u64 offset = 0; offset < 4096; offset += 8) {
                if (load64((u64)q->used + offset) != 0xA5A5A5A5A5A5A5A5ULL || load64(q->data + 0x1000 + offset % 4096) != 0xA5A5A5A5A5A5A5A5ULL) {
                    check(false, "nothing is written after a reset");
                    return;
                }
            }
        }
        rounds++;
    }
    say("%u resets during requests", rounds);
}

static void only_resets(struct device *d) {
    u64 begin = now(), count = 0;
    check(start(d), "it starts");
    for (; now() - begin < duration && count < 1000000; count++) set(d, STATUS, 0);
    say("%u resets in %u ms", count, now() - begin);
}

static void random_status(struct device *d) {
    u64 begin = now(), count = 0;
    check(negotiate(d), "it negotiates");
    place_queues(d);
    for (; now() - begin < duration; count++) {
        static const u64 registers[] = {STATUS, STATUS, STATUS, DRIVER_FEATURES, DRIVER_FEATURES_SELECT, QUEUE_SELECT,
            QUEUE_SIZE, QUEUE_READY, NOTIFY, INTERRUPT_ACK, DESCRIPTORS, AVAILABLE, USED};
        set(d, registers[random() % 13], (u32)(random() % 3 ? random() % 16 : random()));
    }
    say("%u random writes", count);
}

void disorderly_status(struct device *d) {
    refused_features(d);
    check(serves(d), "it serves after refused features");
    resets_during_requests(d);
    check(serves(d), "it serves after resets during requests");
    only_resets(d);
    check(serves(d), "it serves after many resets");
    random_status(d);
    check(serves(d), "it serves after random writes");
}

// MARK: Accesses

static void read_all_widths(u64 address) {
    (void)load8(address);
    (void)load16(address);
    (void)load32(address);
    (void)load64(address);
}

static void write_all_widths(u64 address) {
    store8(address, (u8)random());
    store16(address, (u16)random());
    store32(address, (u32)random());
    store64(address, random());
}

void odd_accesses(struct device *d) {
    check(start(d), "it starts");
    for (u64 offset = 0; offset < 0x180; offset++) read_all_widths(d->base + offset);
    for (u64 offset = 0x180; offset < WINDOW; offset += 61) read_all_widths(d->base + offset);
    check(!is_broken(d) && (get(d, STATUS) & 15) == 15, "reads change nothing");
    for (u64 offset = 0; offset < 0x180; offset++) write_all_widths(d->base + offset);
    for (u64 offset = 0x180; offset < WINDOW; offset += 61) write_all_widths(d->base + offset);
    // Across the end of the window: the processor makes two accesses of it, of 1 to 7 bytes.
    for (u64 offset = WINDOW - 7; offset < WINDOW; offset++) {
        read_all_widths(d->base + offset);
        write_all_widths(d->base + offset);
    }
    // Locked, and by string instructions of some length.
    u64 place = d->base + DRIVER_FEATURES_SELECT, count = 512, from = d->base, to = ARENA;
    u32 value = 1;
    __asm__ volatile("lock xadd %0, (%1)" : "+r"(value) : "r"(place) : "memory");
    __asm__ volatile("xchg %0, (%1)" : "+r"(value) : "r"(place) : "memory");
    __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    from = ARENA, to = d->base + CONFIGURATION, count = 1024;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    // Where no device is, up to the interrupt controllers.
    for (u64 address = 0xD0020000; address < 0xFEC00000; address += 0x1357531) {
        read_all_widths(address);
        write_all_widths(address);
    }
    check(serves(d), "it serves after odd accesses");
}

void all_ports(void) {
    u64 begin = now();
    static const u16 known[] = {0x20, 0x21, 0x40, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92, 0xA0, 0xCF8, 0xCFC,
        0x3F9, 0x3FA, 0x3FB, 0x3FC, 0x3FD, 0x3FE, 0x3FF};
    for (unsigned index = 0; index < sizeof known / sizeof *known; index++) {
        u16 port = known[index];
        in16(port), in32(port);
        out16(port, 0xFFFF);
        out32(port, 0xFFFFFFFF);
    }
    // Every port in no order, as far as time allows; but not to the serial line, which is to report, and not to the keyboard
    // controller's, which resets the machine.
    u32 count_of_ports = 0;
    for (; count_of_ports < 65536 && now() - begin < 4 * duration; count_of_ports++) {
        u16 port = (u16)(count_of_ports * 40503);
        in8(port);
        if (port == 0x64 || (port >= 0x3F8 && port <= 0x3FF)) continue;
        out8(port, (u8)random());
        if (count_of_ports % 16 == 0) {
            in16(port), in32(port);
            out16(port, (u16)random());
            out32(port, (u32)random());
        }
    }
    in32(65535);
    out32(65535, 1);
    // All of the serial port's registers but its data.
    for (u16 reg = 0x3F9; reg < 0x400; reg++) {
        for (int times = 0; times < 16; times++) {
            out8(reg, (u8)random() & 0x7F);
            in8(reg);
        }
    }
    out8(0x3FB, 3);
    out8(0x3F9, 0);
    // Strings.
    u64 to = ARENA, count = 8192;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x3FD) : "memory");
    to = ARENA, count = 2048;
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(0xCF8) : "memory");
    u64 from = ARENA;
    count = 2048;
    __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(0xCF8) : "memory");
    say("%u ports in %u ms", (u64)count_of_ports, now() - begin);
}

// MARK: Floods

void kick_storm(struct device *d) {
    check(start(d), "it starts");
    u64 begin = now(), count = 0;
    while (now() - begin < duration) {
        for (int times = 0; times < 64; times++) {
            set(d, NOTIFY, (u32)(random() % d->queue_count));
            count++;
        }
        set(d, NOTIFY, (u32)random());
        store8(d->base + NOTIFY, 0);
        store16(d->base + NOTIFY, 0);
        store64(d->base + NOTIFY, 0);
    }
    say("%u kicks in %u ms", count, now() - begin);
    check(!is_broken(d), "a storm of kicks breaks nothing");
    check(serves(d), "it serves after a storm of kicks");
}

void endless_storm(void) {
    for (unsigned index = 0; index < device_count; index++) check(start(&devices[index]), "it starts");
    say("STORM");
    for (;;) {
        for (unsigned index = 0; index < device_count; index++) {
            struct device *d = &devices[index];
            for (u16 number = 0; number < d->queue_count; number++) kick(d, &d->queues[number]);
        }
    }
}

/// Anything but the same twice: chains of random buffers with random flags, at random places.
void random_requests(struct device *d) {
    u64 begin = now(), rounds = 0, restarts = 0;
    check(start(d), "it starts");
    while (rounds < LEAST_ROUNDS || now() - begin < duration) {
        struct queue *q = &d->queues[random() % d->queue_count];
        write_request(d, q);
        // A request that is nearly right.
        for (u64 change = random() % 3; change; change--) store8(q->data + random() % 64, (u8)random());
        u16 length = (u16)(1 + random() % 6), head = (u16)(random() % q->size);
        for (u16 index = 0; index < length; index++) {
            u16 next = (u16)((head + index + 1) % q->size);
            u64 address = random() % 8 ? q->data + (index ? random() % 0x8000 : 0) : random();
            u32 count = random() % 4 ? (u32)(random() % 0x2000) + 1 : (u32)random();
            u16 flags = index + 1 < length ? D_NEXT : 0;
            if (index * 2 >= length || is_inbound(d, q)) flags |= D_WRITE;
            if (random() % 16 == 0) flags = (u16)(random() % 8);
            describe(q, (u16)((head + index) % q->size), address, random() % 3 ? count % 0x2000 + 1 : count, flags, next);
        }
        offer(q, head);
        kick(d, q);
        take_used(q, 0, is_broken(d) ? 0 : 1);
        rounds++;
        if (is_broken(d)) {
            restarts++;
            check(start(d), "it starts again");
        }
    }
    say("%u random requests, %u resets", rounds, restarts);
    check(serves(d), "it serves after random requests");
}
