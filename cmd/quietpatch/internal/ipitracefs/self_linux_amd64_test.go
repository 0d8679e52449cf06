package ipitracefs

import (
	"os"
	"runtime"
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

// TestSelfUnderLoad: what others send while the tracer starts and stops is not told as its own.
func TestSelfUnderLoad(t *testing.T) {
	const n, most = 30_000, 2000 // a millisecond at the start and one at the end cannot be told apart
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := affinity.Pin(sender); err != nil {
		t.Fatal(err)
	}
	quiet := closed(t, open(t, ipitrace.Options{})).SelfIPIs
	load := start(t, "membarrier", n)
	done := make(chan error)
	go func() {
		_, err := load.Process.Finish()
		done <- err
	}()
	first, came, told := interrupts.Read(), uint64(0), uint64(0)
	for range 12 { // the load may begin later, and end before
		before := interrupts.Read()
		tr := open(t, ipitrace.Options{})
		s, all := closed(t, tr), interrupts.Read().IPIsSince(before, victim).Call
		if all > came {
			came, told = all, s.SelfIPIs
		}
		if interrupts.Read().IPIsSince(first, victim).Call > n {
			break
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if came < quiet+2*most {
		t.Skipf("only %d came: others use the CPU", came)
	}
	if told > quiet+most || rig.Isolated && told < quiet/2 { // another tracer may have turned the events on
		t.Errorf("%d are told of %d, without load %d", told, came, quiet)
	}
	t.Logf("%d are told of %d, without load %d", told, came, quiet)
}
