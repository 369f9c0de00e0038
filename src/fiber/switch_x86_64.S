/* SPDX-License-Identifier: MIT */
/*
 * The switch on x86-64, System V: see context.h. What a function must
 * preserve is rbx, rbp, r12 to r15, and the control words of both
 * floating-point units. A resting stack holds, from its sp upwards:
 *
 *     0  mxcsr, and at 4 the x87 control word
 *     8  r15, r14, r13, r12, rbx, rbp
 *    56  where it goes on
 *
 * It goes on by a return, not by a jump: each call then has its return, which
 * the processor foresees where the two chains of calls look alike, as those
 * of parked fibers do. A jump cost two to four times as much.
 */

/* Where an indirect jump may land is marked, and the file says so, where the
 * compiler was told to do so in C. Shadow stacks are not switched here. */
#if defined(__CET__) && (__CET__ & 1)
#define LANDING endbr64
	.pushsection .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 1, 0
	.popsection
#else
#define LANDING
#endif

	.text

/* void nr_switch(void **ret_sp, void *sp) */
	.globl nr_switch
	.hidden nr_switch
	.type nr_switch, @function
	.p2align 5
nr_switch:
	.cfi_startproc
	LANDING
	pushq %rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq %r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq %r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq %r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq %r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	subq $8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	movq %rsp, (%rdi)
	/* The other stack looks alike from here on. */
	movq %rsi, %rsp
	ldmxcsr (%rsp)
	fldcw 4(%rsp)
	addq $8, %rsp
	.cfi_adjust_cfa_offset -8
	popq %r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq %r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq %r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq %r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq %rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	ret
	.cfi_endproc
	.size nr_switch, . - nr_switch

/* void *nr_switch_prepare(void *stack, size_t size, void (*entry)(void *),
 *                         void *arg)
 * The entry goes into r12 and its argument into rbx, for start to call. */
	.globl nr_switch_prepare
	.hidden nr_switch_prepare
	.type nr_switch_prepare, @function
	.p2align 4
nr_switch_prepare:
	.cfi_startproc
	LANDING
	leaq (%rdi, %rsi), %rax
	andq $-16, %rax
	subq $64, %rax
	stmxcsr (%rax)
	fnstcw 4(%rax)
	xorl %r8d, %r8d
	movq %r8, 8(%rax)
	movq %r8, 16(%rax)
	movq %r8, 24(%rax)
	movq %rdx, 32(%rax)
	movq %rcx, 40(%rax)
	movq %r8, 48(%rax)
	leaq started(%rip), %r8
	movq %r8, 56(%rax)
	ret
	.cfi_endproc
	.size nr_switch_prepare, . - nr_switch_prepare

/* The outermost frame of every context: nobody called it, so that whoever
 * walks the stack ends here. rbp is zero for those who walk by it. */
	.type start, @function
	.p2align 4
start:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_undefined rbp
	/* A return address is taken to follow a call of the same function. */
	nop
started:
	movq %rbx, %rdi
	call *%r12
	ud2
	.cfi_endproc
	.size start, . - start

	.section .note.GNU-stack, "", @progbits
