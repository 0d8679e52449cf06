package ipibpf

import (
	"os"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestSelf: what the start and the stop send is told, and is in no row.
func TestSelf(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(sender); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []ipitrace.Options{{}, {NoCost: true}} {
		before := interrupts.Read()
		tr := open(t, opts)
		first, err := tr.Read()
		if err != nil {
			t.Fatal(err)
		}
		s := closed(t, tr)
		d := interrupts.Read().IPIsSince(before, victim)
		t.Logf("start %d, stop %d, /proc/interrupts %+v", first.SelfIPIs, s.SelfIPIs-first.SelfIPIs, d)
		if got := sum(t, s, func(r *ipi.Row) bool { return r.Cause == "do_sync_core" && r.Sender.PID == os.Getpid() }); got.IPIs > 0 {
			t.Errorf("%v: rows have %d of the tracer's own", opts, got.IPIs)
		}
		// The readings are not made in the very moments, and others send, too.
		const slack = 60
		if s.SelfIPIs == 0 || s.SelfIPIs > d.Call+slack/4 || d.Call > s.SelfIPIs+slack {
			t.Errorf("%d are told, %d came", s.SelfIPIs, d.Call)
		}
	}
}
