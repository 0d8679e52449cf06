package reserve

import (
	"fmt"
	"slices"
	"strconv"
)

// cpusMax is one more than the highest CPU number. Linux goes up to NR_CPUS, 8192 at most
// on x86 (arch/x86/Kconfig, NR_CPUS_RANGE_END); machines have far fewer.
const cpusMax = 4096

// CPUs is a set of CPU numbers: sorted, without duplicates.
type CPUs []int

// String returns the list in the form that [Parse] and the kernel read, such as 0-3,8.
func (c CPUs) String() string {
	var b []byte
	for i := 0; i < len(c); {
		last := i
		for last+1 < len(c) && c[last+1] == c[last]+1 {
			last++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(c[i]), 10)
		if last > i {
			b = strconv.AppendInt(append(b, '-'), int64(c[last]), 10)
		}
		i = last + 1
	}
	return string(b)
}

// Contains reports whether the CPU is in the set.
func (c CPUs) Contains(cpu int) bool {
	_, found := slices.BinarySearch(c, cpu)
	return found
}

// sorted returns the numbers as a set, or which of them is none.
func sorted(numbers []int) (CPUs, error) {
	c := slices.Clone(numbers)
	slices.Sort(c)
	c = slices.Compact(c)
	for _, cpu := range c {
		if err := checkNumber(cpu); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func checkNumber(cpu int) error {
	if cpu < 0 || cpu >= cpusMax {
		return fmt.Errorf("CPU %d: expected a number from 0 to %d", cpu, cpusMax-1)
	}
	return nil
}

func (c CPUs) minus(other CPUs) CPUs {
	return slices.DeleteFunc(slices.Clone(c), other.Contains)
}

func (c CPUs) both(other CPUs) CPUs {
	return slices.DeleteFunc(slices.Clone(c), func(cpu int) bool { return !other.Contains(cpu) })
}

func (c CPUs) overlaps(other CPUs) bool { return slices.ContainsFunc(c, other.Contains) }

func (c CPUs) plus(other CPUs) CPUs {
	sum := append(slices.Clone(c), other...)
	slices.Sort(sum)
	return slices.Compact(sum)
}
