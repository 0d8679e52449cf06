package ipitracefs

import (
	"os"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitest"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

var (
	rig            = ipitest.NewRig("IPITRACEFS_VICTIM")
	victim, sender = rig.Victim, rig.Sender

	start, driveExactly, driveAtLeast = rig.Start, rig.DriveExactly, rig.DriveAtLeast
	closed, sum                       = ipitest.Closed, ipitest.Sum
)

// backend is this one, for the tests that all have to pass.
var backend = ipitest.Backend{
	Rig: rig, Check: Check,
	Open:     func(t testing.TB, o ipitrace.Options) ipitrace.Tracer { return open(t, o) },
	Syscalls: ipitrace.Options{Stacks: true},
}

func TestMain(m *testing.M) {
	ipidrive.Main()
	os.Exit(m.Run())
}

func TestStats(t *testing.T)   { backend.Stats(t) }
func TestTimer(t *testing.T)   { backend.Timer(t) }
func TestSoftirq(t *testing.T) { backend.Softirq(t) }
func TestRead(t *testing.T)    { backend.Read(t) }
func TestFollow(t *testing.T)  { backend.Follow(t) }
func TestProcess(t *testing.T) { backend.Process(t) }
func TestIRQWork(t *testing.T) { backend.IRQWork(t) }

// TestMunmap: the stacks are those of the kernel, without the tracing.
func TestMunmap(t *testing.T) {
	s := backend.Munmap(t)
	munmaps := uint64(0)
	for _, r := range s.Rows {
		stack := s.Stacks[r.StackID]
		if len(stack) > 0 && tracing(stack[0]) {
			t.Errorf("the stack begins with the tracer: %q", stack)
		}
		if r.Kind == ipi.TLB && slices.Contains(stack, "__x64_sys_munmap") {
			munmaps += r.IPIs
		}
	}
	if munmaps < 196 { // others unmap, too; and now and then a stack cannot be walked
		t.Errorf("%d in stacks %q", munmaps, s.Stacks)
	}
}

func TestSelf(t *testing.T) {
	slack := uint64(60)
	if rig.Isolated {
		slack = 2
	}
	backend.Self(t, slack, ipitrace.Options{}, ipitrace.Options{NoCost: true}, ipitrace.Options{Stacks: true})
}

func TestCheck(t *testing.T) {
	backend.Found(t, func(o ipitrace.Options) error {
		tr, err := Open(o)
		if err == nil {
			tr.Close()
		}
		return err
	})
}
