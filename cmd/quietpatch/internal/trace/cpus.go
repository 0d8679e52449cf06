package trace

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/internal/host"
)

// cpuDir has the kernel's lists of CPUs (Documentation/ABI/testing/sysfs-devices-system-cpu).
const cpuDir = "/sys/devices/system/cpu"

// Possible is one more than the highest CPU that the machine can have.
func Possible() int {
	n, err := host.CPUs()
	if err != nil {
		return runtime.NumCPU()
	}
	return n
}

// list reads one of the lists; a file that is missing or empty is an empty set.
func list(dir, name string, n int) (ipi.CPUs, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	text := strings.TrimSpace(string(b))
	if os.IsNotExist(err) || err == nil && (text == "" || text == "(null)") {
		return nil, nil // nohz_full is (null) where the kernel has none (drivers/base/cpu.c)
	}
	if err != nil {
		return nil, err
	}
	return ipi.ParseCPUs(text, n)
}

// DefaultVictims returns the CPUs that are watched if none are named: those that are isolated or
// nohz_full, and if there are none, all that are online. The note says which it was.
func DefaultVictims() (victims ipi.CPUs, note string, err error) {
	return defaultVictims(cpuDir, Possible())
}

func defaultVictims(dir string, n int) (victims ipi.CPUs, note string, err error) {
	var found []string
	for _, name := range []string{"isolated", "nohz_full"} {
		some, err := list(dir, name, n)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w; name the CPUs with --cpus", filepath.Join(dir, name), err)
		}
		if some == nil {
			continue
		}
		found = append(found, name)
		victims = victims.Or(some)
	}
	if victims != nil {
		return victims, "watched are the CPUs that are " + strings.Join(found, " or "), nil
	}
	online := onlineOf(dir, n)
	if online == nil {
		return ipi.Below(n), "no CPU is isolated or nohz_full: all are watched", nil
	}
	return online, "no CPU is isolated or nohz_full: all that are online are watched", nil
}

// onlineOf returns the CPUs that run; nil if that is not known.
func onlineOf(dir string, n int) ipi.CPUs {
	online, err := list(dir, "online", n)
	if err != nil {
		return nil
	}
	return online
}

// offlineOf returns a function that tells which of the CPUs do not run now, as far as that is known.
func offlineOf(dir string, cpus ipi.CPUs, n int) func() ipi.CPUs {
	return func() ipi.CPUs {
		if online := onlineOf(dir, n); online != nil {
			return cpus.AndNot(online)
		}
		return nil
	}
}

// offlineNote tells of CPUs that are offline at the start; those that somebody has named are an error,
// before a night rather than after it.
func offlineNote(cpus ipi.CPUs, named bool) (note string, err error) {
	switch {
	case cpus.Len() == 0:
		return "", nil
	case named:
		return "", fmt.Errorf("expected CPUs that are online, found that of these are offline: %s; leave them out of --cpus, or turn them on (%s/cpu%d/online)", cpus, cpuDir, cpus.First())
	}
	return "CPUs that are offline are not watched: " + cpus.String(), nil
}

// narrow returns the CPUs of victims to which the filter lets anything pass, and that are online:
// a report of others would only seem to say that they are quiet. Those that are not online are returned
// apart.
func narrow(victims ipi.CPUs, filter *ipifilter.Expr, dir string, n int) (narrowed, offline ipi.CPUs, err error) {
	narrowed = victims
	if filter != nil {
		sets, _ := ipifilter.Lower(filter, n)
		if narrowed = victims.And(sets.Targets); narrowed == nil {
			return nil, nil, fmt.Errorf("the filter lets no IPI to CPUs %s pass: nothing would be watched", victims)
		}
	}
	online := onlineOf(dir, n)
	if online == nil {
		return narrowed, nil, nil
	}
	up := narrowed.And(online)
	if up == nil {
		return nil, nil, fmt.Errorf("CPUs %s are offline: nothing would be watched; online are %s", narrowed, online)
	}
	return up, narrowed.AndNot(online), nil
}
