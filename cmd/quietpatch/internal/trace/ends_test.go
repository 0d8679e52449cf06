package trace

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestSessionEnds: when the processes have ended a run without a plan does, too, and one with a plan goes
// on; the report and the record say when.
func TestSessionEnds(t *testing.T) {
	for _, planned := range []time.Duration{0, time.Hour} {
		looks := 0
		ended := func() bool { looks++; return looks > 2 }
		var file bytes.Buffer
		s, err := begin(Options{Watch: ipitrace.Options{TGIDs: []int32{12}}, Record: &file, Planned: planned, ended: ended}, &fake{snapshots: snapshots()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		err = s.Run(ctx, time.Millisecond, func(st ipireport.Step, _ *ipireport.Report) error {
			if steps++; st.Ended != (steps > 1) {
				t.Errorf("step %d: ended %v", steps, st.Ended)
			}
			if steps == 4 { // not reached without a plan
				cancel()
			}
			return nil
		})
		if err != nil || planned == 0 && steps != 2 || planned > 0 && steps < 4 { // a tick may come with cancel
			t.Errorf("planned %v: %d steps, want 2, and 4 or more with a plan; %v", planned, steps, err)
		}
		cancel()
		r, err := s.Stop()
		if err != nil || r.Ended != 2 || (r.Incomplete != "") != (planned > 0) {
			t.Errorf("planned %v: ended %v, incomplete %q, %v", planned, r.Ended, r.Incomplete, err)
		}
		c, err := ipireport.ReadRecord(&file)
		if err != nil || c.Report().Ended != r.Ended || c.Report().Incomplete != r.Incomplete {
			t.Errorf("planned %v: recorded %+v, %v", planned, c, err)
		}
	}
}

// TestSessionLooks: the end of processes does not wait for a long interval.
func TestSessionLooks(t *testing.T) {
	looks := 0
	s, err := begin(Options{ended: func() bool { looks++; return looks > 3 }}, &fake{snapshots: snapshots()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Run(ctx, time.Hour, nil); err != nil || ctx.Err() != nil || looks != 4 {
		t.Errorf("%v, %v, %d looks, want one at the start and three", err, ctx.Err(), looks)
	}
}

// TestSessionStopLooks: what ends between the last snapshot and the end is seen, too.
func TestSessionStopLooks(t *testing.T) {
	gone := false
	s, err := begin(Options{Planned: time.Nanosecond, ended: func() bool { return gone }}, &fake{snapshots: snapshots()})
	if err != nil {
		t.Fatal(err)
	}
	gone = true
	if r, err := s.Stop(); err != nil || r.Ended == 0 || r.Incomplete == "" {
		t.Errorf("ended %v, incomplete %q, %v", r.Ended, r.Incomplete, err)
	}
}

// TestSessionEnded: processes that have ended before they are watched are an error, and cost no record.
func TestSessionEnded(t *testing.T) {
	f, file := &fake{snapshots: snapshots()}, bytes.Buffer{}
	_, err := begin(Options{Watch: ipitrace.Options{TGIDs: []int32{12}}, Record: &file, ended: func() bool { return true }}, f)
	if err == nil || !strings.Contains(err.Error(), "[12] ended before the trace began") || f.closed != 1 || file.Len() != 0 {
		t.Errorf("%v, closed %d times, %d bytes", err, f.closed, file.Len())
	}
}

// TestOfflineAtStart: CPUs that were offline when the trace began are in the report and the record, although
// they came up before they were looked at again; so are those that stay as they were.
func TestOfflineAtStart(t *testing.T) {
	var file bytes.Buffer
	s, err := begin(Options{Watch: ipitrace.Options{Victims: ipi.MakeCPUs(1)}, Record: &file, offline: ipi.MakeCPUs(2, 3)}, &fake{snapshots: snapshots()})
	if err != nil {
		t.Fatal(err)
	}
	s.offline = offlineOf(filepath.Join(t.TempDir(), "nowhere"), nil, 4)
	for i, want := range []string{"2-3", ""} {
		if st, err := s.read(); err != nil || st.Offline.String() != want {
			t.Errorf("step %d: got %q, %v, want %q", i, st.Offline, err, want)
		}
	}
	r, err := s.Stop()
	if err != nil || r.Offline.String() != "2-3" {
		t.Errorf("got %q, %v", r.Offline, err)
	}
	c, err := ipireport.ReadRecord(&file)
	if err != nil || c.Report().Offline.String() != "2-3" {
		t.Errorf("recorded: %+v, %v", c, err)
	}
	a, err := ipireport.ParseAssertion("ipis <= 1000", 4)
	if err != nil {
		t.Fatal(err)
	}
	r.Meta.CPUs, r.Lost, r.Duration, r.Meta.Blind = 4, 0, time.Second, nil
	if f := a.Check(r); len(f) != 1 || !strings.Contains(f[0].String(), "offline") {
		t.Errorf("got %v, want one that says offline", f)
	}
}
