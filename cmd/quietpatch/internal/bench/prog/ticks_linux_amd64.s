#include "textflag.h"

// func ticks() uint64
// LFENCE waits for what stands before it, so that the counter is read between
// the two (AMD APM vol. 3, RDTSC; Intel SDM vol. 2, RDTSC).
TEXT ·ticks(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	LFENCE
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func flushLine(p unsafe.Pointer)
TEXT ·flushLine(SB), NOSPLIT, $0-8
	MOVQ    p+0(FP), AX
	CLFLUSH (AX)
	MFENCE
	RET
