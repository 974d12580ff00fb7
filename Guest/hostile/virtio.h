// A driver for any virtio device over MMIO, that keeps the rules until it is told to break them.
#pragma once

#include "machine.h"

enum { NET = 1, BLOCK = 2, CONSOLE = 3, ENTROPY = 4, BALLOON = 5, VSOCK = 19, FS = 26 };

enum {
    MAGIC = 0x00,
    VERSION = 0x04,
    KIND = 0x08,
    DEVICE_FEATURES = 0x10,
    DEVICE_FEATURES_SELECT = 0x14,
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SELECT = 0x24,
    QUEUE_SELECT = 0x30,
    QUEUE_SIZE_MAX = 0x34,
    QUEUE_SIZE = 0x38,
    QUEUE_READY = 0x44,
    NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60,
    INTERRUPT_ACK = 0x64,
    STATUS = 0x70,
    DESCRIPTORS = 0x80,
    AVAILABLE = 0x90,
    USED = 0xA0,
    CONFIGURATION = 0x100,
    WINDOW = 0x1000,
};

enum { S_ACKNOWLEDGE = 1, S_DRIVER = 2, S_DRIVER_OK = 4, S_FEATURES_OK = 8, S_NEEDS_RESET = 64, S_FAILED = 128 };
enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };

struct descriptor {
    u64 address;
    u32 count;
    u16 flags, next;
};

#define MAX_QUEUES 16
#define QUEUE_ROOM 0x100000ULL

struct queue {
    u16 number, size, largest;
    volatile struct descriptor *descriptors;
    /// Flags, index, ring, event; and the same for what is used.
    volatile u16 *available, *used;
    /// An indirect table, and data.
    volatile struct descriptor *table;
    u64 data;
    u16 offered, seen;
};

struct device {
    u64 base;
    u32 kind;
    u16 queue_count;
    struct queue queues[MAX_QUEUES];
};

#define MAX_DEVICES 24
extern struct device devices[MAX_DEVICES];
extern unsigned device_count;

static inline u32 get(struct device *d, u64 reg) { return load32(d->base + reg); }
static inline void set(struct device *d, u64 reg, u32 value) { store32(d->base + reg, value); }

/// Reads the devices from the command line.
void find_devices(const char *line);
const char *kind_name(u32 kind);

/// Resets a device, and agrees with it on all it offers. False if it does not want to.
bool negotiate(struct device *);
/// Gives all queues their place, of at most 256 entries.
void place_queues(struct device *);
/// The whole way to a device that serves, as its driver would go.
bool start(struct device *);
static inline void kick(struct device *d, struct queue *q) { set(d, NOTIFY, q->number); }
static inline bool is_broken(struct device *d) { return get(d, STATUS) & S_NEEDS_RESET; }

void describe(struct queue *, u16 index, u64 address, u32 count, u16 flags, u16 next);
void describe_indirect(struct queue *, u32 index, u64 address, u32 count, u16 flags, u16 next);
/// Puts the chain at `head` into the ring.
void offer(struct queue *, u16 head);
void set_available(struct queue *, u16 index);
bool has_used(struct queue *);
/// Waits for the next used entry; false after `limit` milliseconds. What was written is stored if asked for.
bool take_used(struct queue *, u32 *written, u64 limit);

/// A request as its driver would make it, at `q->data`; how long the part is that the device reads.
u32 write_request(struct device *, struct queue *);
/// Whether the device fills buffers of this queue by itself.
bool is_inbound(struct device *, struct queue *);
/// Offers one well-formed request.
void offer_request(struct device *, struct queue *);
/// Starts the device and has it serve; false if it does not.
bool serves(struct device *);
