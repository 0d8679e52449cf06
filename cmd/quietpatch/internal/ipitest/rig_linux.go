package ipitest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// Rig is the CPUs of a test.
type Rig struct {
	Victim   int // CPU that is interrupted
	Sender   int // CPU that does it
	Isolated bool
}

// NewRig makes CPU 0 interrupt CPU 1, or an isolated one that the environment names.
func NewRig(env string) Rig {
	if cpu, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return Rig{Victim: cpu, Isolated: true}
	}
	return Rig{Victim: 1}
}

// Options lets the victim be watched if nothing else is asked for. It skips the test if there is
// no such CPU.
func (r Rig) Options(t testing.TB, o ipitrace.Options) ipitrace.Options {
	t.Helper()
	if o.Victims == nil {
		o.Victims = ipi.MakeCPUs(r.Victim)
	}
	for cpu := range o.Victims.All() {
		if _, err := os.Stat(fmt.Sprintf("/sys/devices/system/cpu/cpu%d", cpu)); err != nil {
			t.Skipf("CPU %d is missing", cpu)
		}
	}
	return o
}

// FailOrSkip skips a test if something is missing that the backend needs; else it could not be
// opened without a reason.
func FailOrSkip(t testing.TB, err error, check func() []ipitrace.Finding) {
	t.Helper()
	for _, f := range check() {
		if f.Needed && !f.OK {
			t.Skipf("%s: %s", f.Name, f.Why)
		}
	}
	t.Fatal(err)
}

// Started is a scenario in its process, which waits for Finish before it begins.
type Started struct {
	*ipidrive.Process
	result ipidrive.Result
}

// Start starts a scenario of n turns.
func (r Rig) Start(t testing.TB, name string, n int) *Started {
	t.Helper()
	p, err := ipidrive.Start(ipidrive.Job{Scenario: name, Turns: n, Victim: r.Victim, Sender: r.Sender})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cancel)
	return &Started{Process: p}
}

// Finish lets it run to its end.
func (s *Started) Finish(t testing.TB) {
	t.Helper()
	var err error
	if s.result, err = s.Process.Finish(); err != nil {
		t.Fatal(err)
	}
	if s.result.Missing != "" {
		t.Skip(s.result.Missing)
	}
	t.Logf("%+v", s.result)
}

// Received is how many function calls came to the victim, by /proc/interrupts.
func (s *Started) Received() int { return int(s.result.Calls) }

// Drive runs a scenario n times and returns the number of its process.
func (r Rig) Drive(t testing.TB, name string, n int) int {
	t.Helper()
	s := r.Start(t, name, n)
	s.Finish(t)
	return s.PID()
}

// DriveExactly runs a scenario n times that sends want IPIs, and again if /proc/interrupts has another
// number: the kernel takes the CPU from the spinner now and then, even a real-time one, for
// threads that would starve (kernel/sched/deadline.c, the fair server), and a kworker can be late.
func (r Rig) DriveExactly(t testing.TB, name string, n, want int) int {
	t.Helper()
	return r.driveUntil(t, name, n, fmt.Sprintf("just %d", want), func(received int) bool { return received == want })
}

// DriveAtLeast is content if others interrupt the CPU, too, where rows are of one process.
func (r Rig) DriveAtLeast(t testing.TB, name string, n, want int) int {
	t.Helper()
	return r.driveUntil(t, name, n, strconv.Itoa(want), func(received int) bool { return received >= want })
}

func (r Rig) driveUntil(t testing.TB, name string, n int, want string, enough func(received int) bool) int {
	t.Helper()
	const tries = 8
	for range tries {
		s := r.Start(t, name, n)
		s.Finish(t)
		if enough(s.Received()) {
			return s.PID()
		}
	}
	t.Skipf("%s: in %d tries the CPU never received %s: others use it", name, tries, want)
	return 0
}
