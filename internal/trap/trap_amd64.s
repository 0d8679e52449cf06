//go:build linux

#include "go_asm.h"
#include "textflag.h"

#define SI_KERNEL	0x80	// si_code of a signal raised by a CPU exception without details
#define SI_CODE		8	// offset of si_code in siginfo
#define SYS_gettid	186

// func handlerAddr() uintptr
TEXT ·handlerAddr(SB), NOSPLIT, $0-8
	LEAQ	·handler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func handler()
//
// Called by the kernel: DI = signal, SI = *siginfo, DX = *ucontext, on the
// signal stack, all signals blocked. Every register may be clobbered, the
// kernel reloads them from the ucontext; but DI, SI, DX and SP must reach the
// chained handler as they came. H1..H5 are explained in doc.go.
//
//	R8  RIP of the thread	R9  address of the trap byte
//	R10 counters of the shard	R11 the vector	R12 its sequence count
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	const_ripOffset(DX), R8
	LEAQ	-1(R8), R9

	// Threads differ in their signal stacks: take the shard from SP.
	MOVQ	SP, AX
	SHRQ	$15, AX
	ANDQ	$(const_shards-1), AX
	IMULQ	$shard__size, AX
	LEAQ	·counters(SB), R10
	ADDQ	AX, R10

	// H1: is this in our text at all?
	CMPQ	R9, ·textLo(SB)
	JCS	foreign
	CMPQ	R9, ·textHi(SB)
	JCC	foreign

	LEAQ	·vec(SB), R11
	MOVQ	vector_seq(R11), R12	// V: before the entries
	TESTQ	$1, R12
	JNE	again	// H3

	// Binary search in entries [AX, CX).
	XORL	AX, AX
	MOVQ	vector_n(R11), CX
search:
	CMPQ	AX, CX
	JCC	missing
	LEAQ	(AX)(CX*1), BX
	SHRQ	$1, BX
	IMUL3Q	$Entry__size, BX, R13
	LEAQ	vector_entries(R11)(R13*1), R13
	CMPQ	R9, Entry_Addr(R13)
	JEQ	found
	JCS	below
	LEAQ	1(BX), AX
	JMP	search
below:
	MOVQ	BX, CX
	JMP	search

found:
	// Load all of the entry, then see whether it was whole.
	MOVQ	Entry_Resume(R13), AX
	MOVQ	Entry_Slot(R13), BX
	MOVQ	Entry_Value(R13), CX
	MOVQ	Entry_FlagsClear(R13), R8
	MOVQ	Entry_FlagsSet(R13), R15
	MOVQ	Entry_Push(R13), R14
	MOVQ	Entry_Allowed(R13), R13
	CMPQ	vector_seq(R11), R12	// V: after the entry
	JNE	again	// H3
	// H2: do what the instruction would have done.
	NOTQ	R8
	ANDQ	R8, const_flagsOffset(DX)
	ORQ	R15, const_flagsOffset(DX)
	MOVQ	CX, (DX)(BX*1)
	MOVQ	AX, const_ripOffset(DX)
	TESTQ	R14, R14
	JEQ	went
	// A call: the room is there, the thread was about to push. This runs on
	// another stack, so nothing of ours lies below the thread's.
	MOVQ	const_rspOffset(DX), R8
	SUBQ	$8, R8
	MOVQ	R14, (R8)
	MOVQ	R8, const_rspOffset(DX)
went:
	LOCK
	INCQ	shard_hits(R10)
	TESTQ	R13, R13	// Allowed
	JEQ	isolated
	RET

missing:
	CMPL	SI_CODE(SI), $SI_KERNEL
	JNE	foreign	// H1: no int3
	MOVBLZX	(R9), AX
	CMPL	AX, $0xCC
	JNE	late
	CMPQ	vector_seq(R11), R12	// V: the CC is only foreign if nothing moved
	JEQ	foreign	// H5
again:	// H3
	CMPL	SI_CODE(SI), $SI_KERNEL
	JNE	foreign	// H1: no int3
	LOCK
	INCQ	shard_retried(R10)
	MOVQ	R9, const_ripOffset(DX)
	RET
late:	// H4
	LOCK
	INCQ	shard_late(R10)
	MOVQ	R9, const_ripOffset(DX)
	RET

	// Is the thread isolated? Then it should not have been here: note the site in the
	// context of the CPU, whose number is in the limit of a segment (see package barrier).
	// Others may run there, too, if the CPU is shared, so the thread has to be the context's.
	// The system call is last: ordinary traps do without.
isolated:
	MOVQ	·contexts(SB), BX
	TESTQ	BX, BX
	JEQ	noted
	MOVL	$0x7B, AX	// __CPUNODE_SEG
	LSLL	AX, AX
	ANDL	$0xFFF, AX
	CMPQ	AX, ·contextCount(SB)
	JCC	noted
	IMULQ	·contextSize(SB), AX
	ADDQ	AX, BX
	MOVQ	const_ContextWord(BX), CX
	TESTQ	$const_ContextState, CX
	JEQ	noted
	MOVL	$SYS_gettid, AX
	SYSCALL	// changes AX, CX and R11
	CMPL	AX, const_ContextTID(BX)
	JNE	noted
	MOVQ	R9, const_ContextViolated(BX)
	LOCK
	INCQ	const_ContextViolations(BX)
noted:
	RET

foreign:
	// The self-test's own trap byte: whatever the reason for which it was not
	// recognized, it must not reach a handler that ends the program. The test
	// sees that nothing was emulated.
	LEAQ	probeSite<>(SB), AX
	CMPQ	R9, AX
	JEQ	probed
	LOCK
	INCQ	shard_foreign(R10)
	MOVQ	·chain(SB), AX
	JMP	AX
probed:
	ADDQ	$const_probeLen, AX
	MOVQ	AX, const_ripOffset(DX)
	RET

// func publish(src *Entry, n int)
//
// The LOCK prefix keeps the string stores between the two counts.
TEXT ·publish(SB), NOSPLIT, $0-16
	MOVQ	src+0(FP), SI
	MOVQ	n+8(FP), CX
	LEAQ	·vec(SB), DX
	LOCK
	INCQ	vector_seq(DX)	// V: odd, the handler re-executes
	MOVQ	CX, vector_n(DX)
	LEAQ	vector_entries(DX), DI
	IMUL3Q	$(Entry__size/8), CX, CX
	CLD
	REP
	MOVSQ
	LOCK
	INCQ	vector_seq(DX)	// V: even, stable
	RET

// func probe() (zf, bx uint64)
//
// Runs into the trap byte of probeSite with ZF set and BX zero, and returns
// both as the handler left them.
TEXT ·probe(SB), NOSPLIT, $0-16
	MOVL	$1, AX	// what a callee that returned here, and not behind the site, would leave
	XORL	BX, BX
	CALL	probeSite<>(SB)
	MOVQ	AX, zf+0(FP)
	MOVQ	BX, bx+8(FP)
	RET

// The self-test's site: a trap byte for good, and six bytes that are not
// executed. ZF is set on the way in (XORL above).
TEXT probeSite<>(SB), NOSPLIT|NOFRAME, $0-0
	BYTE	$0xCC; BYTE $0x0F; BYTE $0x0B; BYTE $0x0F; BYTE $0x0B; BYTE $0x0F; BYTE $0x0B
	SETEQ	AX
	MOVBLZX	AX, AX
	RET

// The self-test's callee: what a trap that stands for a call goes to. It clears ZF
// and returns behind the site.
TEXT probeCallee<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	$const_calleeValue, BX
	TESTQ	BX, BX
	RET

// func calleeAddr() uintptr
TEXT ·calleeAddr(SB), NOSPLIT, $0-8
	LEAQ	probeCallee<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func probeAddr() uintptr
TEXT ·probeAddr(SB), NOSPLIT, $0-8
	LEAQ	probeSite<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
