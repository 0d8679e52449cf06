//go:build linux

#include "textflag.h"

// SUB_BITS is subBits of histogram.go.
#define SUB_BITS 4

// func spin(counts *[buckets]uint64, last, end, max uint64) (now, longest uint64)
//
// Reads the time-stamp counter until it is end or later. Counts the gap since the reading
// before, and keeps the longest. It touches nothing but counts, and Go can not stop it.
TEXT ·spin(SB), NOSPLIT, $0-48
	MOVQ	counts+0(FP), DI
	MOVQ	last+8(FP), R8
	MOVQ	end+16(FP), R9
	MOVQ	max+24(FP), R10
again:
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, BX
	SUBQ	R8, BX			// the gap
	MOVQ	AX, R8
	MOVQ	BX, CX
	ORQ	$(1<<SUB_BITS), CX
	BSRQ	CX, CX
	SUBQ	$SUB_BITS, CX		// e of index
	MOVQ	BX, DX
	SHRQ	CX, DX
	SHLQ	$SUB_BITS, CX
	ADDQ	DX, CX
	INCQ	(DI)(CX*8)
	CMPQ	BX, R10
	CMOVQHI	BX, R10
	CMPQ	R8, R9
	JCS	again
	MOVQ	R8, now+32(FP)
	MOVQ	R10, longest+40(FP)
	RET

// func ticks() uint64
TEXT ·ticks(SB), NOSPLIT, $0-8
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET
