# Entry of the hostile guest, by the 64-bit boot protocol of Linux: long mode, the first GiB mapped onto itself, %rsi holds the
# address of boot_params.
    .section .text.start, "ax"
    .globl _start
_start:
    cli
    lea     stack_top(%rip), %rsp
    mov     %rsi, %rdi
    xor     %ebp, %ebp
    call    run
1:  hlt
    jmp     1b

    .section .bss
    .align 16
    .skip 65536
stack_top:

    .section .note.GNU-stack, "", @progbits
