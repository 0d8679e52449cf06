#include "funcdata.h"
#include "textflag.h"

// func call(code unsafe.Pointer, in, out *State)
//
// The code may change every register but RSP. R14 (g), R15 and BP are kept in
// the frame: Go expects g again, and BP is the callee's to restore. A signal
// that arrives inside the code finds g through TLS, as it does in any foreign
// code.
TEXT ·call(SB), NOSPLIT, $40-24
	NO_LOCAL_POINTERS
	MOVQ R14, 8(SP)
	MOVQ R15, 16(SP)
	MOVQ BP, 24(SP)
	MOVQ code+0(FP), AX
	MOVQ AX, 32(SP)

	// The flags first: MOV keeps them.
	MOVQ  in+8(FP), DX
	PUSHQ 128(DX)
	POPFQ
	MOVQ  0(DX), AX
	MOVQ  8(DX), CX
	MOVQ  24(DX), BX
	MOVQ  40(DX), BP
	MOVQ  48(DX), SI
	MOVQ  56(DX), DI
	MOVQ  64(DX), R8
	MOVQ  72(DX), R9
	MOVQ  80(DX), R10
	MOVQ  88(DX), R11
	MOVQ  96(DX), R12
	MOVQ  104(DX), R13
	MOVQ  112(DX), R14
	MOVQ  120(DX), R15
	MOVQ  16(DX), DX

	CALL 32(SP)

	MOVQ   AX, 32(SP)
	MOVQ   out+16(FP), AX
	MOVQ   CX, 8(AX)
	MOVQ   DX, 16(AX)
	MOVQ   BX, 24(AX)
	MOVQ   SP, 32(AX)
	MOVQ   BP, 40(AX)
	MOVQ   SI, 48(AX)
	MOVQ   DI, 56(AX)
	MOVQ   R8, 64(AX)
	MOVQ   R9, 72(AX)
	MOVQ   R10, 80(AX)
	MOVQ   R11, 88(AX)
	MOVQ   R12, 96(AX)
	MOVQ   R13, 104(AX)
	MOVQ   R14, 112(AX)
	MOVQ   R15, 120(AX)
	PUSHFQ
	POPQ   128(AX)
	MOVQ   32(SP), CX
	MOVQ   CX, 0(AX)

	MOVQ 8(SP), R14
	MOVQ 16(SP), R15
	MOVQ 24(SP), BP
	RET
