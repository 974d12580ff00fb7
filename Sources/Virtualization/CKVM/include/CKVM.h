// The kernel's KVM interface (Documentation/virt/kvm/api.rst), and shims for its ioctls, whose numbers are macros that Swift
// does not see. A shim does one thing, is prefixed `ckvm_`, and returns -errno on failure.
#pragma once

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/// The numbers that a filter of the worker's system calls lets through once the machine runs.
enum ckvm_request : unsigned long {
    CKVM_RUN = KVM_RUN,
    CKVM_IOEVENTFD = KVM_IOEVENTFD,
    CKVM_SET_USER_MEMORY_REGION = KVM_SET_USER_MEMORY_REGION,
    CKVM_IRQ_LINE = KVM_IRQ_LINE,
};

static inline int ckvm_result(int result) { return result < 0 ? -errno : result; }

// MARK: System

static inline int ckvm_api_version(int kvm) { return ckvm_result(ioctl(kvm, KVM_GET_API_VERSION, 0)); }
static inline int ckvm_create_vm(int kvm) { return ckvm_result(ioctl(kvm, KVM_CREATE_VM, 0)); }
static inline int ckvm_vcpu_mmap_size(int kvm) { return ckvm_result(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)); }
static inline int ckvm_check_extension(int fd, int capability) {
    return ckvm_result(ioctl(fd, KVM_CHECK_EXTENSION, capability));
}

// MARK: Machine

static inline int ckvm_create_irqchip(int vm) { return ckvm_result(ioctl(vm, KVM_CREATE_IRQCHIP, 0)); }
static inline int ckvm_create_vcpu(int vm, unsigned id) { return ckvm_result(ioctl(vm, KVM_CREATE_VCPU, id)); }

static inline int ckvm_set_memory_region(
    int vm, uint32_t slot, uint64_t guest, uint64_t size, void *host, bool read_only) {
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = read_only ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = guest,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host};
    return ckvm_result(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
}

static inline int ckvm_irqfd(int vm, int eventfd, uint32_t line) {
    struct kvm_irqfd irqfd = {.fd = (uint32_t)eventfd, .gsi = line};
    return ckvm_result(ioctl(vm, KVM_IRQFD, &irqfd));
}

/// Raises an interrupt line and drops it.
static inline int ckvm_pulse_line(int vm, uint32_t line) {
    struct kvm_irq_level up = {.irq = line, .level = 1}, down = {.irq = line, .level = 0};
    int result = ckvm_result(ioctl(vm, KVM_IRQ_LINE, &up));
    return result < 0 ? result : ckvm_result(ioctl(vm, KVM_IRQ_LINE, &down));
}

/// Rings `eventfd` when the guest writes the 32-bit `value` to `address`.
static inline int ckvm_ioeventfd(int vm, int eventfd, uint64_t address, uint32_t value) {
    struct kvm_ioeventfd io = {
        .addr = address, .len = 4, .datamatch = value, .fd = eventfd, .flags = KVM_IOEVENTFD_FLAG_DATAMATCH};
    return ckvm_result(ioctl(vm, KVM_IOEVENTFD, &io));
}

// MARK: Processor

/// One KVM_RUN. Signals and a state that the kernel wants repeated are -EINTR and -EAGAIN.
static inline int ckvm_run(int vcpu) { return ckvm_result(ioctl(vcpu, KVM_RUN, 0)); }

#if defined(__x86_64__)
static inline int ckvm_set_tss_address(int vm, uint64_t address) {
    return ckvm_result(ioctl(vm, KVM_SET_TSS_ADDR, address));
}

static inline int ckvm_set_identity_map_address(int vm, uint64_t address) {
    return ckvm_result(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &address));
}

/// `disable_speaker`: without it every access to port 0x61 leaves the kernel.
static inline int ckvm_create_pit(int vm) {
    struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};
    return ckvm_result(ioctl(vm, KVM_CREATE_PIT2, &config));
}

/// Fills `entries` and stores how many there are; -E2BIG if there are more than `*count`.
static inline int ckvm_supported_cpuid(int kvm, struct kvm_cpuid_entry2 *entries, uint32_t *count) {
    size_t size = sizeof(struct kvm_cpuid2) + *count * sizeof *entries;
    struct kvm_cpuid2 *all = calloc(1, size);
    if (!all) return -ENOMEM;
    all->nent = *count;
    int result = ckvm_result(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, all));
    if (result >= 0) {
        memcpy(entries, all->entries, all->nent * sizeof *entries);
        *count = all->nent;
    }
    free(all);
    return result;
}

static inline int ckvm_set_cpuid(int vcpu, const struct kvm_cpuid_entry2 *entries, uint32_t count) {
    struct kvm_cpuid2 *all = calloc(1, sizeof(struct kvm_cpuid2) + count * sizeof *entries);
    if (!all) return -ENOMEM;
    all->nent = count;
    memcpy(all->entries, entries, count * sizeof *entries);
    int result = ckvm_result(ioctl(vcpu, KVM_SET_CPUID2, all));
    free(all);
    return result;
}

static inline int ckvm_get_sregs(int vcpu, struct kvm_sregs *sregs) {
    return ckvm_result(ioctl(vcpu, KVM_GET_SREGS, sregs));
}
static inline int ckvm_set_sregs(int vcpu, const struct kvm_sregs *sregs) {
    return ckvm_result(ioctl(vcpu, KVM_SET_SREGS, sregs));
}
static inline int ckvm_set_regs(int vcpu, const struct kvm_regs *regs) {
    return ckvm_result(ioctl(vcpu, KVM_SET_REGS, regs));
}
static inline int ckvm_get_regs(int vcpu, struct kvm_regs *regs) {
    return ckvm_result(ioctl(vcpu, KVM_GET_REGS, regs));
}

/// Routes the local interrupt pins as firmware would: LINT0 to the legacy controller, LINT1 to NMI.
static inline int ckvm_route_local_interrupts(int vcpu) {
    struct kvm_lapic_state state;
    if (ioctl(vcpu, KVM_GET_LAPIC, &state) < 0) return -errno;
    uint32_t lint0 = 0x700, lint1 = 0x400;  // Delivery modes ExtINT and NMI, unmasked.
    memcpy(state.regs + 0x350, &lint0, sizeof lint0);
    memcpy(state.regs + 0x360, &lint1, sizeof lint1);
    return ckvm_result(ioctl(vcpu, KVM_SET_LAPIC, &state));
}

/// Sets one model-specific register.
static inline int ckvm_set_msr(int vcpu, uint32_t index, uint64_t value) {
    _Alignas(struct kvm_msrs) char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = {0};
    struct kvm_msrs *msrs = (struct kvm_msrs *)room;
    msrs->nmsrs = 1;
    msrs->entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
    int result = ioctl(vcpu, KVM_SET_MSRS, msrs);
    return result < 0 ? -errno : result == 1 ? 0 : -EINVAL;
}
#endif
