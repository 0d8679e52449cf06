// Package trap answers the traps that threads take while text changes.
//
// During an int3 batch the first byte of a site is CC. A thread that executes
// it gets SIGTRAP. The handler here, a page of assembly, looks the address up
// in a vector of entries and makes the thread go on as if the instruction that
// the entry stands for had run. The engine publishes the vector before the
// first trap byte is written (step 1) and retires it after the last one is
// gone and synced (step 5).
//
// # What the handler decides
//
// It is told the address A of the trap byte, and reads the vector's sequence
// count before and after.
//
//	H1  A is not in our text, or no int3 was executed     -> the handler before us
//	H2  vector stable, A in it                           -> emulate, go on behind it, or at
//	                                                        the callee of a call
//	H3  vector changing                                  -> execute A again
//	H4  A not in the vector, the byte at A is not CC now  -> execute A again (late trap)
//	H5  A not in the vector, CC, vector stable           -> the handler before us
//
// H3 and H4 are always safe: the thread executes whatever is at A by then. But
// they step the thread back by a byte, and a SIGTRAP sent by kill(2) or by a
// single step interrupts an instruction that has not run. So both ask for
// si_code SI_KERNEL, which int3 gives, and kill(2) (SI_USER, SI_TKILL) and
// debug exceptions (TRAP_*) do not. H2 need not ask: nothing but a trap byte at
// A leaves a thread at A+1, inside a site. The trap number in the ucontext is
// of no use: where a uprobe is set anywhere in the process, the kernel raises
// the signal after the exception is over (uprobes, handle_swbp) and leaves it
// stale.
//
// The handler needs no g, no stack beyond what the signal left, and no memory
// that can be freed: vector and counters are static.
//
// The package may not allocate, take locks or call into the runtime on the
// trap path, and it does not know what a key is.
package trap
