// A guest that means harm: runs one case of abuse against one device, as the command line says, and reports on the serial line.
//
//   hostile.case=N    see below
//   hostile.device=N  index of the device; all of them without it
//   hostile.ms=N      how long cases go on that would go on for ever (500)
//
// Lines: what was tried and how it ended; "FAILED …" where a device did what it must not; "SURVIVED N" with the number of
// devices when all is done; then it halts, or resets the machine if hostile.end=1.
#include "cases.h"

static const device_case device_cases[] = {
    [1] = malformed_chains,
    [2] = malformed_buffers,
    [3] = malformed_queues,
    [4] = disorderly_status,
    [5] = odd_accesses,
    [6] = kick_storm,
    [7] = block_requests,
    [8] = frames,
    [9] = vsock_packets,
    [10] = file_requests,
    [12] = console_flood,
    [13] = large_requests,
    [14] = changing_descriptors,
    [15] = random_requests,
    [16] = truncated_disk,
    [17] = vsock_streams,
};

typedef void (*machine_case)(void);
static const machine_case machine_cases[] = {
    [0] = all_ports, [1] = serial_flood, [2] = run_in_a_device, [3] = endless_storm};

/// Numbers of the cases that are not about one device start here.
#define MACHINE_CASES 50

void run(const u8 *boot_params) {
    const char *line = machine_init(boot_params);
    find_devices(line);
    u64 chosen = option(line, "hostile.case", 0), device = option(line, "hostile.device", ~0ULL);
    duration = option(line, "hostile.ms", duration);
    say("hostile: case %u, %u devices, memory to %x and %x", chosen, (u64)device_count, memory_end, high_memory_end);
    unsigned done = 0;
    if (chosen >= MACHINE_CASES && chosen < MACHINE_CASES + sizeof machine_cases / sizeof *machine_cases) {
        machine_cases[chosen - MACHINE_CASES]();
    } else if (chosen && chosen < sizeof device_cases / sizeof *device_cases && device_cases[chosen]) {
        for (unsigned index = 0; index < device_count; index++) {
            if (device != ~0ULL && device != index) continue;
            say("device %u: %s", (u64)index, kind_name(devices[index].kind));
            device_cases[chosen](&devices[index]);
        }
    } else {
        say("FAILED there is no such case");
    }
    for (unsigned index = 0; index < device_count; index++) {
        bool is_chosen = device == ~0ULL || device == index;
        if (is_chosen && serves(&devices[index])) done++;
    }
    // Whoever looks now sees a machine whose devices have nothing to do.
    say("QUIET");
    for (u64 begin = now(); now() - begin < 200;) pause();
    say("SURVIVED %u, %u failures", (u64)done, (u64)failures);
    if (option(line, "hostile.end", 0)) reset_machine();
    halt();
}
