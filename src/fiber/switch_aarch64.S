/* SPDX-License-Identifier: MIT */
/*
 * The switch on 64-bit ARM: see context.h. What a function must preserve is
 * x19 to x30, the lower halves of v8 to v15, and the control word of the
 * floating-point unit. A resting stack holds, from its sp upwards:
 *
 *      0  x29, and at 8 where it goes on
 *     16  x19 to x28
 *     96  d8 to d15
 *    160  fpcr, and 8 bytes of nothing
 */

/* Where an indirect branch may land is marked as the compiler was told to do
 * in C; a call and a return need no mark. */
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define LANDING hint 34
	.pushsection .note.gnu.property, "a"
	.p2align 3
	.word 4, 16, 5
	.asciz "GNU"
	.word 0xc0000000, 4, 1, 0
	.popsection
#else
#define LANDING
#endif

	.text

/* void nr_switch(void **ret_sp, void *sp) */
	.globl nr_switch
	.hidden nr_switch
	.type nr_switch, %function
	.p2align 5
nr_switch:
	.cfi_startproc
	LANDING
	stp x29, x30, [sp, -176]!
	.cfi_def_cfa_offset 176
	.cfi_offset x29, -176
	.cfi_offset x30, -168
	stp x19, x20, [sp, 16]
	.cfi_offset x19, -160
	.cfi_offset x20, -152
	stp x21, x22, [sp, 32]
	.cfi_offset x21, -144
	.cfi_offset x22, -136
	stp x23, x24, [sp, 48]
	.cfi_offset x23, -128
	.cfi_offset x24, -120
	stp x25, x26, [sp, 64]
	.cfi_offset x25, -112
	.cfi_offset x26, -104
	stp x27, x28, [sp, 80]
	.cfi_offset x27, -96
	.cfi_offset x28, -88
	stp d8, d9, [sp, 96]
	.cfi_offset d8, -80
	.cfi_offset d9, -72
	stp d10, d11, [sp, 112]
	.cfi_offset d10, -64
	.cfi_offset d11, -56
	stp d12, d13, [sp, 128]
	.cfi_offset d12, -48
	.cfi_offset d13, -40
	stp d14, d15, [sp, 144]
	.cfi_offset d14, -32
	.cfi_offset d15, -24
	mrs x2, fpcr
	str x2, [sp, 160]
	mov x3, sp
	str x3, [x0]
	/* The other stack looks alike from here on. */
	mov sp, x1
	/* Writing it is slow, and seldom needed. */
	ldr x3, [sp, 160]
	cmp x3, x2
	b.eq 1f
	msr fpcr, x3
1:
	ldp x19, x20, [sp, 16]
	ldp x21, x22, [sp, 32]
	ldp x23, x24, [sp, 48]
	ldp x25, x26, [sp, 64]
	ldp x27, x28, [sp, 80]
	ldp d8, d9, [sp, 96]
	ldp d10, d11, [sp, 112]
	ldp d12, d13, [sp, 128]
	ldp d14, d15, [sp, 144]
	ldp x29, x30, [sp], 176
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore d8
	.cfi_restore d9
	.cfi_restore d10
	.cfi_restore d11
	.cfi_restore d12
	.cfi_restore d13
	.cfi_restore d14
	.cfi_restore d15
	ret
	.cfi_endproc
	.size nr_switch, . - nr_switch

/* void *nr_switch_prepare(void *stack, size_t size, void (*entry)(void *),
 *                         void *arg)
 * The entry goes into x20 and its argument into x19, for start to call. */
	.globl nr_switch_prepare
	.hidden nr_switch_prepare
	.type nr_switch_prepare, %function
	.p2align 4
nr_switch_prepare:
	.cfi_startproc
	LANDING
	add x0, x0, x1
	and x0, x0, -16
	sub x0, x0, 176
	adr x4, started
	stp xzr, x4, [x0]
	stp x3, x2, [x0, 16]
	stp xzr, xzr, [x0, 32]
	stp xzr, xzr, [x0, 48]
	stp xzr, xzr, [x0, 64]
	stp xzr, xzr, [x0, 80]
	stp xzr, xzr, [x0, 96]
	stp xzr, xzr, [x0, 112]
	stp xzr, xzr, [x0, 128]
	stp xzr, xzr, [x0, 144]
	mrs x4, fpcr
	stp x4, xzr, [x0, 160]
	ret
	.cfi_endproc
	.size nr_switch_prepare, . - nr_switch_prepare

/* The outermost frame of every context: nobody called it, so that whoever
 * walks the stack ends here. x29 is zero for those who walk by it. */
	.type start, %function
	.p2align 4
start:
	.cfi_startproc
	.cfi_undefined x30
	.cfi_undefined x29
	/* A return address is taken to follow a call of the same function. */
	nop
started:
	mov x0, x19
	blr x20
	brk 1
	.cfi_endproc
	.size start, . - start

	.section .note.GNU-stack, "", %progbits
