package ipitest

import (
	"os"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// Self: what the start and the stop send is told, up to so many, and is in no row.
func (b *Backend) Self(t *testing.T, slack uint64, options ...ipitrace.Options) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := affinity.Pin(b.Sender); err != nil {
		t.Fatal(err)
	}
	const tries = 8 // the readings are not made in the very moments, and others send, too
	for _, o := range options {
		for try := 1; ; try++ {
			told, came := b.startStop(t, o)
			if told > 0 && told <= came+slack/2 && came <= told+slack {
				break
			}
			if try < tries {
				continue
			}
			if came > told && !b.Isolated {
				t.Skipf("needs an isolated CPU, and no other tracer, which turns the events on: %d are told, %d came", told, came)
			}
			t.Errorf("%d are told, %d came", told, came)
			break
		}
	}
}

// startStop traces nothing, and returns what the tracer tells of that and what /proc/interrupts says.
func (b *Backend) startStop(t *testing.T, o ipitrace.Options) (told, came uint64) {
	t.Helper()
	release, err := ipidrive.Lock(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	before := interrupts.Read()
	tr := b.Open(t, o)
	first, err := tr.Read()
	if err != nil {
		t.Fatal(err)
	}
	s := Closed(t, tr)
	d := interrupts.Read().IPIsSince(before, b.Victim)
	t.Logf("start %d, stop %d, /proc/interrupts %+v", first.SelfIPIs, s.SelfIPIs-first.SelfIPIs, d)
	if got := Sum(t, s, From(os.Getpid(), "do_sync_core")); got.IPIs > 0 {
		t.Errorf("%v: rows have %d of the tracer's own", o, got.IPIs)
	}
	return s.SelfIPIs, d.Call
}

// Found: the check and the start agree, and every finding says what is lost without it.
func (b *Backend) Found(t *testing.T, open func(ipitrace.Options) error) {
	ok := true
	for _, f := range b.Check() {
		t.Logf("%+v", f)
		ok = ok && (f.OK || !f.Needed)
		if f.Name == "" || f.Lost == "" || !f.OK && f.Why == "" {
			t.Errorf("%+v: something is not said", f)
		}
	}
	if err := open(ipitrace.Options{}); ok != (err == nil) {
		t.Errorf("the check says %v, the start %v", ok, err)
	}
}
