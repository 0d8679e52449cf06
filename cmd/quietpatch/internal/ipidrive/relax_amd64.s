//go:build linux

#include "textflag.h"

// func relax()
TEXT ·relax(SB), NOSPLIT, $0-0
	PAUSE
	RET

// func spin(turns *atomic.Int64, stop *atomic.Uint32)
TEXT ·spin(SB), NOSPLIT, $0-16
	MOVQ turns+0(FP), AX
	MOVQ stop+8(FP), BX
again:
	PAUSE
	INCQ (AX) // nobody else writes
	CMPL (BX), $0
	JEQ  again
	RET
