#include "machine.h"

#include <stdarg.h>

u64 memory_end;
u64 high_memory_end;

static u64 ticks_per_millisecond = 1000000;
static u64 first_tick;

static u64 ticks(void) {
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

u64 now(void) { return (ticks() - first_tick) / ticks_per_millisecond; }

u64 random(void) {
    static u64 state = 0x9E3779B97F4A7C15ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

// The compiler calls these.
void *memset(void *place, int value, size_t count) {
    void *start = place;
    __asm__ volatile("rep stosb" : "+D"(place), "+c"(count) : "a"(value) : "memory");
    return start;
}
void *memcpy(void *to, const void *from, size_t count) {
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    return start;
}

void fill(u64 address, u8 value, u64 count) { memset((void *)address, value, count); }

// MARK: Serial line

#define SERIAL 0x3F8

static void put(char character) { out8(SERIAL, (u8)character); }

static void put_number(u64 value, unsigned base) {
    char digits[24];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count) put(digits[--count]);
}

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *text = va_arg(arguments, const char *); *text; text++) put(*text);
            break;
        case 'u': put_number(va_arg(arguments, u64), 10); break;
        case 'x': put_number(va_arg(arguments, u64), 16); break;
        default: put(*format);
        }
    }
    va_end(arguments);
    put('\n');
}

_Noreturn void halt(void) {
    for (;;) __asm__ volatile("cli; hlt");
}

_Noreturn void reset_machine(void) {
    out8(0x64, 0xFE);
    halt();
}

// MARK: Command line

bool starts_with(const char *text, const char *prefix) {
    while (*prefix) {
        if (*text++ != *prefix++) return false;
    }
    return true;
}

u64 number(const char *text, const char **end) {
    unsigned base = 10;
    u64 value = 0;
    if (starts_with(text, "0x")) {
        base = 16;
        text += 2;
    }
    for (;; text++) {
        unsigned digit = *text >= '0' && *text <= '9' ? (unsigned)(*text - '0')
            : *text >= 'a' && *text <= 'f'            ? (unsigned)(*text - 'a') + 10
                                                      : 99;
        if (digit >= base) break;
        value = value * base + digit;
    }
    if (end) *end = text;
    return value;
}

u64 option(const char *line, const char *name, u64 otherwise) {
    for (const char *at = line; *at; at++) {
        if ((at != line && at[-1] != ' ') || !starts_with(at, name)) continue;
        const char *value = at;
        while (*value && *value != '=' && *value != ' ') value++;
        if (*value == '=') return number(value + 1, 0);
    }
    return otherwise;
}

// MARK: Memory and time

/// Four tables of 2 MiB pages below 4 GiB, and four above.
static u64 top[512] __attribute__((aligned(4096)));
static u64 middle[512] __attribute__((aligned(4096)));
static u64 low[8][512] __attribute__((aligned(4096)));

static void map_memory(void) {
    const u64 present = 3, large = 1 << 7;
    top[0] = (u64)middle | present;
    for (u64 table = 0; table < 8; table++) {
        middle[table] = (u64)low[table] | present;
        for (u64 page = 0; page < 512; page++) low[table][page] = table << 30 | page << 21 | present | large;
    }
    __asm__ volatile("mov %0, %%cr3" ::"r"((u64)top) : "memory");
}

/// What the host tells of its clock (the kernel's Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW).
static struct {
    u32 version, pad0;
    u64 tsc_timestamp, system_time;
    u32 to_nanoseconds; // (ticks << shift) * to_nanoseconds >> 32
    int8_t shift;
    u8 flags, pad[2];
} volatile host_clock __attribute__((aligned(64)));

static void measure_clock(void) {
    const u32 system_time_new = 0x4B564D01;
    u64 place = (u64)&host_clock | 1;
    __asm__ volatile("wrmsr" ::"c"(system_time_new), "a"((u32)place), "d"((u32)(place >> 32)) : "memory");
    if (host_clock.to_nanoseconds) {
        u64 per_millisecond = (1000000ULL << 32) / host_clock.to_nanoseconds;
        int8_t shift = host_clock.shift;
        ticks_per_millisecond = shift >= 0 ? per_millisecond >> shift : per_millisecond << -shift;
    }
    first_tick = ticks();
}

const char *machine_init(const u8 *boot_params) {
    map_memory();
    measure_clock();
    unsigned count = boot_params[0x1E8];
    for (unsigned index = 0; index < count; index++) {
        u64 entry = (u64)boot_params + 0x2D0 + index * 20;
        if (load32(entry + 16) != 1) continue;
        u64 end = load64(entry) + load64(entry + 8);
        if (end <= 1ULL << 32) memory_end = end;
        else high_memory_end = end;
    }
    return (const char *)(u64)load32((u64)boot_params + 0x228);
}
