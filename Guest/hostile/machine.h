// The machine under the hostile guest: types, ports, memory, time and the serial line it reports on.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/// Where nothing of the program is: rings and buffers.
#define ARENA 0x1000000ULL

/// End of the memory below the gap for devices.
extern u64 memory_end;
/// End of the memory above 4 GiB; 0 if there is none.
extern u64 high_memory_end;

/// Maps what there is onto itself, reads `boot_params` and measures the clock. Returns the command line.
const char *machine_init(const u8 *boot_params);

static inline u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u16 in16(u16 port) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 in32(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void out16(u16 port, u16 v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port)); }
static inline void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }

/// One instruction each, which is one access of that width.
#define ACCESS(width)                                                                                                  \
    static inline u##width load##width(u64 address) {                                                                  \
        u##width v;                                                                                                    \
        __asm__ volatile("mov (%1), %0" : "=r"(v) : "r"(address) : "memory");                                          \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void store##width(u64 address, u##width v) {                                                         \
        __asm__ volatile("mov %0, (%1)" ::"r"(v), "r"(address) : "memory");                                            \
    }
ACCESS(16)
ACCESS(32)
ACCESS(64)
static inline u8 load8(u64 address) {
    u8 v;
    __asm__ volatile("movb (%1), %0" : "=q"(v) : "r"(address) : "memory");
    return v;
}
static inline void store8(u64 address, u8 v) { __asm__ volatile("movb %0, (%1)" ::"q"(v), "r"(address) : "memory"); }

static inline void fence(void) { __asm__ volatile("mfence" ::: "memory"); }
static inline void pause(void) { __asm__ volatile("pause" ::: "memory"); }

/// Milliseconds since the start.
u64 now(void);

/// The same numbers in every run.
u64 random(void);

void fill(u64 address, u8 value, u64 count);

/// Formats %s, %u (u64), %x (u64).
void say(const char *format, ...);

/// Stops for good, without using the host's processor.
_Noreturn void halt(void);
/// Asks the machine to reset, which ends it.
_Noreturn void reset_machine(void);

/// The value of `name=NUMBER` on the command line, or `otherwise`.
u64 option(const char *line, const char *name, u64 otherwise);
/// The number at `text`, decimal or 0x hexadecimal; `*end` is what follows.
u64 number(const char *text, const char **end);
bool starts_with(const char *text, const char *prefix);
