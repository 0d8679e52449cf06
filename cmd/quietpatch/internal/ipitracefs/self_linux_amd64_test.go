package ipitracefs

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitest"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// spin keeps a CPU busy in user mode, and returns the number of the thread and how to end it.
func spin(t *testing.T, cpu int) (tid int32, stop func()) {
	t.Helper()
	var end atomic.Bool
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread keeps its CPU
		tid = int32(unix.Gettid())
		ready <- affinity.Pin(cpu)
		for !end.Load() {
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return tid, func() { end.Store(true); <-done }
}

// TestOwnWhileWatching: what this process sends is the tracer's own, unless it was asked for.
func TestOwnWhileWatching(t *testing.T) {
	const n, syncCore, register = 300, 32, 64
	release, err := ipidrive.Lock(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, register, 0, 0); errno != 0 {
		t.Skip(errno)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own := int32(os.Getpid())
	for _, o := range []ipitrace.Options{{}, {TGIDs: []int32{own}}} {
		tr := open(t, o)
		_, stop := spin(t, victim)
		if err := affinity.Pin(sender); err != nil {
			t.Fatal(err)
		}
		before, err := tr.Read()
		if err != nil {
			t.Fatal(err)
		}
		start, first := time.Now(), interrupts.Read()
		for interrupts.Read().IPIsSince(first, victim).Call < n && time.Since(start) < 3*time.Second {
			for range n / 10 { // the spinner does not have the CPU all the time
				_, _, _ = unix.RawSyscall(unix.SYS_MEMBARRIER, syncCore, 0, 0)
			}
		}
		after, err := tr.Read()
		stop()
		if err != nil {
			t.Fatal(err)
		}
		rows, told := sum(t, closed(t, tr), ipitest.From(int(own), "ipi_sync_core")).IPIs, after.SelfIPIs-before.SelfIPIs
		asked := o.TGIDs != nil
		if asked && (rows < n/2 || told != 0) || !asked && (rows != 0 || told < n/2) {
			t.Errorf("asked for: %v; %d in rows, %d told", asked, rows, told)
		}
		if all := sum(t, after, func(r *ipi.Row) bool { return r.Sender.PID == int(own) }); !asked && all.IPIs != 0 {
			t.Errorf("rows have %d of the tracer's own", all.IPIs)
		}
	}
}
