package deferral

// getg returns what tells goroutines apart while they live.
func getg() uintptr
