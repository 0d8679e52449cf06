// Package stub builds the machine code of stubs: a few instructions between a call
// and its callee.
//
// There are two. A [Closure] loads a context into DX and jumps to the function that
// wants it there: a direct call can then lead to an implementation that is a
// closure. A [Dispatch] stands for a retpoline (runtime.retpolineAX and its
// siblings, from a build with -spectre=ret): it compares the callee's address with
// targets that were learned and jumps to the one it is, directly, else to the
// retpoline; it may count which targets were asked for, in one [Line] for each CPU.
//
// Its place in the flow: the engine asks for the length, allocates memory near the
// text, asks for the code at that address, and points the call there. What is
// counted is read by who learns.
//
// It may not map memory, make system calls or use unsafe: it takes numbers and
// returns bytes, on every GOOS and GOARCH. The code is for linux/amd64.
//
// # What a stub may do
//
// It only ever jumps. It never calls or pushes: a return address outside of the text
// would make the garbage collector throw. It changes the flags and, in a Dispatch, two
// of R12, R13 and R15; all of these are free at a call (Go's
// src/cmd/compile/abi-internal.md, "amd64 architecture"; R15 only in a program
// that is not linked with -linkshared or as a plugin). It writes to no memory but a Line.
//
// So the call has to be one of compiled code. Code in assembly may expect R12 to
// outlive a call of C, as runtime·nanotime1 does for the vDSO's: such calls must be
// left alone.
//
// # Listings
//
// A closure with its object at 0xc000012340 and the entry 0x401000:
//
//	600000  48 BA 40 23 01 00 C0 00 00 00  MOVQ $0xc000012340, DX
//	60000a  E9 F1 0F E0 FF                 JMP 0x401000
//
// A context below 2^32 takes MOVL, which is shorter.
//
// A dispatch of the calls of CX to 0x401000 and 0x80002000. Only addresses below
// 2^31 fit an immediate:
//
//	600000  48 81 F9 00 10 40 00           CMPQ CX, $0x401000
//	600007  0F 84 F3 0F E0 FF              JE 0x401000
//	60000d  4C 8D 25 EC 1F A0 7F           LEAQ 0x7fa01fec(IP), R12
//	600014  4C 39 E1                       CMPQ CX, R12
//	600017  0F 84 E3 1F A0 7F              JE 0x80002000
//	60001d  E9 DE 2F E0 FF                 JMP 0x403000             // the retpoline
//
// The same with one target, while it counts on 4 CPUs. First this CPU's line:
//
//	600000  41 BC 7B 00 00 00              MOVL $0x7b, R12          // __CPUNODE_SEG; or RDPID R12
//	600006  45 0F 03 E4                    LSL R12, R12
//	60000a  41 83 E4 03                    ANDL $0x3, R12
//	60000e  41 C1 E4 07                    SHLL $0x7, R12
//	600012  49 BD 00 00 00 00 FF 7F 00 00  MOVQ $0x7fff00000000, R13
//	60001c  4D 01 E5                       ADDQ R12, R13
//
// then the targets:
//
//	60001f  48 81 F9 00 10 40 00           CMPQ CX, $0x401000
//	600026  75 09                          JNE 0x600031
//	600028  41 FF 45 34                    INCL 0x34(R13)           // Hit[0]
//	60002c  E9 CF 0F E0 FF                 JMP 0x401000
//
// then the misses: the slot that has this callee, else the first that is free,
// else the catch-all. The other three slots are alike.
//
//	600031  49 39 4D 00                    CMPQ 0(R13), CX          // Target[0]
//	600035  74 3B                          JE 0x600072
//	...
//	600049  49 83 7D 00 00                 CMPQ 0(R13), $0x0
//	60004e  74 1E                          JE 0x60006e
//	...
//	600065  41 FF 45 30                    INCL 0x30(R13)           // CatchAll
//	600069  E9 92 2F E0 FF                 JMP 0x403000
//	60006e  49 89 4D 00                    MOVQ CX, 0(R13)
//	600072  41 FF 45 20                    INCL 0x20(R13)           // Miss[0]
//	600076  E9 85 2F E0 FF                 JMP 0x403000
//	...
//
// # What the counts are worth
//
// There is no LOCK: an INC is one instruction, which an interrupt cannot split, so
// on one CPU none is lost. But a thread may be moved to another CPU after it has
// asked for the number, and two threads may take the same free slot. Then a count
// is lost, or is one of the callee that got the slot. A call adds one at most.
package stub
