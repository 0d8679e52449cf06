//go:build !linux

package trace

// endOf knows of no end: Open will say that nothing can be watched.
func endOf([]int32) func() bool { return nil }
