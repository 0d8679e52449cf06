package ipitracefs

import (
	"os"
	"strconv"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
)

const (
	sender    = 0
	victimEnv = "IPITRACEFS_VICTIM"
)

// victim is the CPU that is interrupted. The environment can name one that is isolated.
var victim = func() int {
	if cpu, err := strconv.Atoi(os.Getenv(victimEnv)); err == nil {
		return cpu
	}
	return 1
}()

func TestMain(m *testing.M) {
	ipidrive.Main()
	os.Exit(m.Run())
}

// started is a scenario in its process, which waits for finish before it begins.
type started struct {
	*ipidrive.Process
	result ipidrive.Result
}

func start(t testing.TB, name string, n int) *started {
	t.Helper()
	p, err := ipidrive.Start(ipidrive.Job{Scenario: name, Turns: n, Victim: victim, Sender: sender})
	if err != nil {
		t.Fatal(err)
	}
	return &started{Process: p}
}

// finish lets it run to its end.
func (s *started) finish(t testing.TB) {
	t.Helper()
	var err error
	if s.result, err = s.Finish(); err != nil {
		t.Fatal(err)
	}
	if s.result.Missing != "" {
		t.Skip(s.result.Missing)
	}
	t.Logf("%+v", s.result)
}

// received is how many function calls came to the victim, by /proc/interrupts.
func (s *started) received() int { return int(s.result.Calls) }

// drive runs a scenario n times and returns the number of its process.
func drive(t testing.TB, name string, n int) int {
	t.Helper()
	s := start(t, name, n)
	s.finish(t)
	return s.PID()
}

// driveExactly runs a scenario n times that sends want IPIs, and again if /proc/interrupts has another
// number: the kernel takes the CPU from the spinner now and then, even a real-time one, for
// threads that would starve (kernel/sched/deadline.c, the fair server), and a kworker can be late.
func driveExactly(t testing.TB, name string, n, want int) int {
	t.Helper()
	const tries = 8
	for range tries {
		s := start(t, name, n)
		s.finish(t)
		if s.received() == want {
			return s.PID()
		}
	}
	t.Skipf("%s: in %d tries the CPU never received just %d: others use it", name, tries, want)
	return 0
}

// driveAtLeast is content if others interrupt the CPU, too, where rows are of one process.
func driveAtLeast(t testing.TB, name string, n, want int) int {
	t.Helper()
	const tries = 8
	for range tries {
		s := start(t, name, n)
		s.finish(t)
		if s.received() >= want {
			return s.PID()
		}
	}
	t.Skipf("%s: in %d tries the CPU never received %d", name, tries, want)
	return 0
}
