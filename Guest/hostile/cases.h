// What a guest may try. The numbers are those on the command line; docs/threat-model.md says what each is about.
#pragma once

#include "virtio.h"

/// How long a case that goes on until it is stopped goes on, in milliseconds.
extern u64 duration;
/// What an emulated machine does at least in that time.
#define LEAST_ROUNDS 40
/// What the device should not have done.
extern unsigned failures;

/// Reports "FAILED what" unless it holds.
void check(bool holds, const char *what);

typedef void (*device_case)(struct device *);

/// Shapes of chains, and where their buffers are; one attack after the other at every queue.
void malformed_chains(struct device *);
void malformed_buffers(struct device *);
void changing_descriptors(struct device *);
void malformed_queues(struct device *);
void disorderly_status(struct device *);
void odd_accesses(struct device *);
void kick_storm(struct device *);
void random_requests(struct device *);

/// Of one kind of device each; the others have nothing to do.
void block_requests(struct device *);
void frames(struct device *);
void vsock_packets(struct device *);
void vsock_streams(struct device *);
void file_requests(struct device *);
void console_flood(struct device *);
void large_requests(struct device *);
void truncated_disk(struct device *);

/// Of the machine.
void all_ports(void);
void serial_flood(void);
void run_in_a_device(void);
void endless_storm(void);
