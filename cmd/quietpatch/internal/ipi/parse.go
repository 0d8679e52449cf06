package ipi

import "github.com/quietpatch/quietpatch/internal/cpulist"

// CPUsMax is one more than the highest CPU number that Linux can have on x86.
const CPUsMax = cpulist.Max

// ListError says what is wrong with a list of CPUs, and where.
type ListError = cpulist.Error

// ParseCPUs reads a list of CPUs in the kernel's form for a machine with CPUs 0 to n-1:
// see [cpulist.Parse]. A list of no CPU is an error. An error is a *[ListError].
func ParseCPUs(list string, n int) (CPUs, error) {
	cpus, err := cpulist.ParseSome(list, n)
	if err != nil {
		return nil, err
	}
	return MakeCPUs(cpus...), nil
}

// Quote shows the first word of what was found in place of something expected, or "the end".
func Quote(rest string, ends func(byte) bool) string { return cpulist.Quote(rest, ends) }
