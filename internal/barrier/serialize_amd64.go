//go:build linux && amd64

package barrier

// SerializeSelf executes one serializing instruction on the CPU that it
// happens to run on: IRETQ to the next instruction. IRET is serializing (AMD
// APM vol. 2, 7.6.4; Intel SDM vol. 3A, 9.3) and allowed in user mode.
// Unlike CPUID it does not trap to a hypervisor.
func SerializeSelf()

// CPU returns the number of the CPU that it happens to run on.
func CPU() int
