package ipibpf

import (
	"os"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitest"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

var (
	rig            = ipitest.NewRig("IPIBPF_VICTIM")
	victim, sender = rig.Victim, rig.Sender

	start, drive, driveExactly = rig.Start, rig.Drive, rig.DriveExactly
	closed, sum, pin           = ipitest.Closed, ipitest.Sum, affinity.Pin
)

// backend is this one, for the tests that all have to pass.
var backend = ipitest.Backend{
	Rig: rig, Check: Check,
	Open:      func(t testing.TB, o ipitrace.Options) ipitrace.Tracer { return open(t, o) },
	LateCalls: func(tr ipitrace.Tracer) bool { return tr.(*Tracer).lateCalls },
}

func TestMain(m *testing.M) {
	ipidrive.Main()
	loud()
	os.Exit(m.Run())
}

func TestMunmap(t *testing.T)  { backend.Munmap(t) }
func TestStats(t *testing.T)   { backend.Stats(t) }
func TestTimer(t *testing.T)   { backend.Timer(t) }
func TestSoftirq(t *testing.T) { backend.Softirq(t) }
func TestRead(t *testing.T)    { backend.Read(t) }
func TestFilters(t *testing.T) { backend.Filters(t) }
func TestFollow(t *testing.T)  { backend.Follow(t) }
func TestProcess(t *testing.T) { backend.Process(t) }
func TestIRQWork(t *testing.T) { backend.IRQWork(t) }

func TestSelf(t *testing.T) {
	backend.Self(t, 60, ipitrace.Options{}, ipitrace.Options{NoCost: true})
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
