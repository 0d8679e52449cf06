// Package amd64 knows x86-64 machine code, as far as patching needs it.
//
// It does three things. Decode finds the length and the fields of one
// instruction in 64-bit mode, so that a function can be walked from its first
// byte. Flags and Flow say what an instruction does with the flags and where the
// CPU goes next, so that the readers of a compare's flags can be found.
// Recognize, Armed and Emulate know the few instructions that read a key from
// memory (the forms), the instruction of the same length that stands for one
// value of the key, and what the original does to registers and flags.
//
// An armed compare leaves flags that answer the conditions that are read, not the
// same flags: see [Conds] and compare.go.
//
// Its place in the flow: internal/site uses Decode and Recognize to confirm
// sites, and Flags and Flow to judge them; internal/engine asks Armed for the
// bytes to poke and Emulate for what a thread that meets an int3 has to do instead.
//
// It may not know keys, processes or files, and it may not make system calls,
// use unsafe or depend on the machine it runs on: it reads bytes and returns
// bytes. It builds and works on every GOOS and GOARCH.
//
// # What Decode promises
//
// The length that Decode gives is that of the hardware, for the one-byte map,
// 0F, 0F38, 0F3A, 3DNow!, VEX, EVEX and XOP; the tests compare it with x86asm
// and objdump. Opcodes that no manual defines give ErrInvalid, and so do
// undefined members (ModRM.reg) of the groups listed in groupRegs. Decode does
// not check what only decides whether the instruction faults and not how long
// it is: a LOCK prefix where none is allowed, or a reserved combination of
// mandatory prefix, W, L, operand kind and member of another group.
//
// It refuses, with ErrInvalid, what would need more rules and what its tables
// do not know: REX2 and the EVEX maps of Intel APX, VEX maps other than 1 to 3,
// and the newest opcodes (most of AVX10.2 in EVEX maps 5 and 6). A function with
// such an instruction is not walked to its end; its sites go on reading memory.
//
// Decode cannot tell data from code. Compiled Go functions hold no data, but
// functions in assembly may: crypto/internal/boring/sig jumps over 29 bytes of it.
//
// Sources: Intel SDM vol. 2 (order number 325383), chapter 2 for the prefixes
// and appendix A for the opcode maps; AMD APM vol. 3 (24594), appendix A, also
// for 3DNow! and XOP; AMD APM vol. 4 (26568) for SSE4a.
package amd64
