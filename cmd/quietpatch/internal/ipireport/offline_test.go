package ipireport

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// TestOffline: that a CPU got few IPIs proves nothing if it did not run; that it got many does.
func TestOffline(t *testing.T) {
	for _, test := range []struct {
		text, offline, why string
	}{
		{"ipis <= 3", "", ""},
		{"ipis <= 3", "2-3", "CPUs 2-3 were offline for a while"},
		{"ipis(cpu=1-2) <= 3", "2-3", "CPU 2 was offline for a while"},
		{"ipis(cpu=1) <= 3", "2-3", ""},
		{"rate < 3/s", "2", "CPU 2 was offline for a while"},
		{"ipis == 3", "2", "CPU 2 was offline for a while"},
		{"ipis >= 3", "2", ""},
		{"lost == 0", "2", ""},
	} {
		r := &Report{
			Meta: Meta{CPUs: 4, Victims: "1-3"}, Duration: 10 * time.Second,
			Rows: []ipi.Row{{Key: ipi.Key{CPU: 1, Kind: ipi.Call, Cause: "f", StackID: -1}, IPIs: 3, Queued: 3}},
		}
		if test.offline != "" {
			r.Offline = must(ipi.ParseCPUs(test.offline, 4))
		}
		a := must(ParseAssertion(test.text, 4))
		got := a.Check(r)
		switch {
		case test.why == "" && len(got) > 0:
			t.Errorf("%s, offline %s: got %v, want none", test.text, test.offline, got)
		case test.why != "" && (len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]), test.why)):
			t.Errorf("%s, offline %s: got %v, want %q", test.text, test.offline, got, test.why)
		}
		if text := strings.Join(r.head(), "\n"); strings.Contains(text, "offline") != (test.offline != "") {
			t.Errorf("offline %q: got\n%s", test.offline, text)
		}
		if b := string(must(json.Marshal(r.JSON()))); !strings.Contains(b, `"offline":"`+test.offline+`"`) {
			t.Errorf("offline %q: got\n%s", test.offline, b)
		}
	}
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}
