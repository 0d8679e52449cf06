package ipireport

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// TestEnded: that processes sent little proves nothing if they had ended before the time that was planned; that
// they sent much does. A run that had no plan is whole.
func TestEnded(t *testing.T) {
	for _, test := range []struct {
		text       string
		planned    time.Duration
		ended, why string
		pids       []int
	}{
		{"ipis <= 3", 2 * time.Second, "", "", []int{12}},
		{"ipis <= 3", 2 * time.Second, "0.6 s", "process 12 had ended after 0.6 s of 2.0 s", []int{12}},
		{"ipis <= 3", 2 * time.Second, "0.6 s", "all 2 processes had ended after 0.6 s of 2.0 s", []int{12, 13}},
		{"rate > 1/s", 2 * time.Second, "0.6 s", "process 12 had ended", []int{12}},
		{"ipis >= 3", 2 * time.Second, "0.6 s", "", []int{12}},
		{"ipis <= 3", 0, "0.6 s", "", []int{12}},
	} {
		c := NewCollector(Meta{CPUs: 4, Victims: "1-3", PIDs: test.pids, Planned: test.planned})
		rows := []ipi.Row{{Key: ipi.Key{CPU: 1, Kind: ipi.Call, Cause: "f", StackID: -1}, IPIs: 3, Queued: 3}}
		for _, at := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 2 * time.Second} {
			c.AddEnded(ipi.Snapshot{At: at, Rows: rows}, test.ended != "" && at >= 600*time.Millisecond)
		}
		r := c.Report()
		got := must(ParseAssertion(test.text, 4)).Check(r)
		switch {
		case test.why == "" && len(got) > 0:
			t.Errorf("%+v: got %v, want none", test, got)
		case test.why != "" && (len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]), test.why)):
			t.Errorf("%+v: got %v", test, got)
		}
		text := strings.Join(r.head(), "\n")
		if n := strings.Count(text, "had ended after 0.6 s"); n != map[bool]int{true: 1}[test.ended != ""] {
			t.Errorf("%+v: said %d times:\n%s", test, n, text)
		}
		ns := `"ended_ns":0`
		if test.ended != "" {
			ns = `"ended_ns":600000000`
		}
		if b := string(must(json.Marshal(r.JSON()))); !strings.Contains(b, ns) {
			t.Errorf("%+v: without %s:\n%s", test, ns, b)
		}
	}
}
