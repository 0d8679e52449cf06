package ipidrive

// relax says that the thread spins: emulators and hypervisors let other CPUs run then. It does
// not check the stack.
func relax()
