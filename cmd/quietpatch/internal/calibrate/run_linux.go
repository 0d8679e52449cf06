//go:build linux && amd64

package calibrate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/scale"
	"github.com/quietpatch/quietpatch/internal/host"
	"github.com/quietpatch/quietpatch/internal/self"
	"github.com/quietpatch/quietpatch/internal/trap"
	"golang.org/x/sys/unix"
)

// threads is enough for the two threads that measure and the runtime's own.
const threads = 4

// A run is one calibration.
type run struct {
	ctx      context.Context
	progress func(format string, args ...any)
	flipCPU  int
	busyCPU  int
	image    *self.Image
	small    []uintptr // addresses of the sites
	large    []uintptr
	result   scale.Measured
}

// Run measures for some seconds. What could not be measured keeps its built-in
// value, and the notes say so. The error wraps [ErrUnsupported] where nothing
// can be measured. Progress gets one line at a time.
func Run(ctx context.Context, progress func(format string, args ...any)) (*scale.Measured, error) {
	r := &run{ctx: ctx, progress: progress}
	r.result.Params = scale.Builtin()
	if err := r.open(); err != nil {
		return nil, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread is pinned and ends with the goroutine
		if err := affinity.Pin(r.flipCPU); err != nil {
			done <- fmt.Errorf("pin the thread that flips to CPU %d: %w", r.flipCPU, err)
			return
		}
		done <- r.measure()
	}()
	if err := <-done; err != nil {
		return nil, err
	}
	return &r.result, nil
}

// open finds out whether anything can be measured, and with what.
func (r *run) open() error {
	cpus, err := affinity.Allowed()
	if err != nil {
		return fmt.Errorf("%w: read the CPUs of this process: %w", ErrUnsupported, err)
	}
	if len(cpus) < 2 {
		return fmt.Errorf("%w: a CPU must be interrupted by another one, and this process may run on CPU %v only", ErrUnsupported, cpus)
	}
	if pid, err := host.TracerPID(); err != nil {
		return fmt.Errorf("%w: whether the process is traced is not known: %w", ErrUnsupported, err)
	} else if pid != 0 {
		return fmt.Errorf("%w: the process is traced by pid %d, which makes system calls and traps longer", ErrUnsupported, pid)
	}
	r.flipCPU, r.busyCPU = cpus[0], cpus[len(cpus)-1]
	if len(quietpatch.Backends()) == 0 {
		if err := quietpatch.Arm(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return fmt.Errorf("%w: no backend can write text", ErrUnsupported)
	}
	if r.small, err = addresses(&smallKey); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if r.large, err = addresses(&largeKey); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if len(r.small) < smallSites || len(r.large) < largeSites {
		return fmt.Errorf("%w: expected keys with %d and %d sites, found %d and %d; was this built without inlining?",
			ErrUnsupported, smallSites, largeSites, len(r.small), len(r.large))
	}
	if r.image, err = self.Load(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	lo, hi := r.image.Range()
	if err := trap.Install(lo, hi); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	r.result.Machine = r.machine(len(cpus))
	return nil
}

func (r *run) machine(cpus int) string {
	kernel := "kernel unknown"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return strings.Join([]string{
		fmt.Sprintf("this machine: %d CPUs", cpus), host.Vendor(), kernel, runtime.Version(),
		fmt.Sprintf("flips on CPU %d, busy thread on CPU %d", r.flipCPU, r.busyCPU),
	}, ", ")
}

// measure goes through the parts. procmem comes before alias, because text
// that alias has moved is out of procmem's reach. Pokes come before flips:
// they need the compiler's own bytes.
func (r *run) measure() error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"syncs", r.syncs},
		{"the trap handler", r.traps},
		{"the deferral word", r.deferral},
		{"pokes, procmem", func() error { return r.pokes(procmem) }},
		{"flips, procmem", func() error { return r.flips(procmem) }},
		{"pokes, alias", func() error { return r.pokes(alias) }},
		{"flips, alias", func() error { return r.flips(alias) }},
	}
	for i, s := range steps {
		if err := r.ctx.Err(); err != nil {
			return errors.New("interrupted: the calibration is not complete")
		}
		r.progress("[%d/%d] %s", i+1, len(steps), s.name)
		if err := s.do(); err != nil {
			r.note("%s: not measured: %v", s.name, err)
		}
	}
	return nil
}

func (r *run) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// set makes a parameter of samples.
func (r *run) set(name string, s samples) {
	r.result.Params.Set(name, s.median(), s.at(10), s.at(90), len(s))
}
