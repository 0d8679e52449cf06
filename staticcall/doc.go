// Package staticcall is a function variable that costs a direct call.
//
// The usual way to choose an implementation when the program runs is a variable:
//
//	var sum = sumGeneric
//
//	func init() {
//		if cpu.X86.HasAVX2 {
//			sum = sumAVX2
//		}
//	}
//
// Every call then loads the variable and calls through a register: a branch that has to
// be predicted, and under Spectre hardening one that may not be. A [Call] is the same
// variable, with a forwarder in front of it:
//
//	var sum = staticcall.New(sumGeneric)
//
//	//go:noinline
//	func Sum(b []byte) uint32 { return sum.Func()(b) }
//
//	func init() {
//		if cpu.X86.HasAVX2 {
//			_ = sum.Update(sumAVX2)
//		}
//	}
//
// Programs call Sum. Update sets the variable, and then makes every direct call of Sum
// in the machine code a direct call of sumAVX2, while all threads run. It may be called
// at any time, as often as needed.
//
// # Always right
//
// A call that is not patched goes through Sum, which calls what the variable holds: it is
// slower, never wrong. Calls through a func value of Sum, deferred ones and those started
// by go, inlined copies of Func in other functions, other operating systems and CPUs, the
// race detector: all of them work that way. Arguments escape as in any call through a
// variable, so callers never hand over memory that an implementation may not keep.
//
// # The forwarder
//
// It must be one statement that calls Func with the function's own parameters, all of
// them, in their order, and returns the results; and it must not be inlined. The machine
// code is checked: a function that does anything else is no forwarder, its calls are left
// alone, and [Call.Sites] says where it differs. So are those whose arguments or results
// do not fit into registers (nine words, fifteen floating-point numbers, together about a
// hundred bytes; a structure of more than four parts, or an array longer
// than one element never does). `quietpatch vet` checks the source.
//
// The forwarder may be a method, too, if the method's receiver is the first argument:
//
//	func (t *Table) Hash(k string) uint64 { return hash.Func()(t, k) }
//
// Some calls go straight only to implementations for which it makes no difference: those in
// nosplit functions, which need the forwarder's check of the stack, to what checks its stack
// itself or uses none; those in the compiler's wrappers (deferred calls, method values, promoted
// methods) also only to what does not call recover, since what that does depends on who called
// the function.
//
// Profile-guided optimization (-pgo) may put a compare with the most frequent implementation
// into the forwarder, which then is none any more. Build with a profile that was taken from the
// patched program, where the forwarder is cold, or with -gcflags=-d=pgodevirtualize=1. Under
// -cover, and without optimization or inlining, no function is a forwarder either.
//
// A direct call has one stack frame less than one through the forwarder. Code that counts
// frames (runtime.Caller with a number, in an implementation) sees the difference.
//
// # Implementations
//
// Any function of the type: a plain one, a method value, a closure. A closure is reached
// by way of a stub, two instructions that load its context; it is kept alive as long as
// any thread may enter it, which is known behind the next stop of the world after it was
// replaced (any garbage collection has one), and noticed within a minute.
//
// Assigning to the variable itself (sum = staticcall.New(f)) behind the back of sites that
// are armed leaves them with the old function: use Update.
//
// After Update(nil) calls panic as calls of a nil function do, unless the variable was made
// by [NewCond]: then they do nothing and return zero values, and a direct call of a
// function without results becomes a NOP (as the kernel's static_call_cond).
package staticcall
