package stub

// ClosureMax is the length of the longest code that [Closure] returns.
const ClosureMax = 15

// Closure returns the code of a stub, to be placed at the address at, that enters
// a closure: it loads the context (the address of the closure's object) into DX,
// where ABIInternal has it, and jumps to the entry.
//
// The collector does not see a context in code: the caller keeps the closure alive
// and off every stack, which moves, as long as a thread may enter the stub.
func Closure(at, context, entry uint64) ([]byte, error) {
	a := assembler{at: at}
	a.movImm(regDX, context)
	a.jmp(entry)
	if a.err != nil {
		return nil, a.err
	}
	return a.code, nil
}
