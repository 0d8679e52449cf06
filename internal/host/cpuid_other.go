//go:build !amd64

package host

// RDPID reports whether the CPU has the instruction RDPID.
func RDPID() bool { return false }
