package ipireport

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// TestNarrowed: a run that counts only some IPIs does not say that there were no others.
func TestNarrowed(t *testing.T) {
	many := make([]int, 40)
	for i := range many {
		many[i] = i + 1
	}
	for _, test := range []struct {
		pids   []int
		follow bool
		filter string
		head   string
		which  string
	}{
		{nil, false, "", "", ""},
		{nil, true, "", "", ""},
		{[]int{12}, false, "", "only what process 12 sends", " from process 12"},
		{[]int{12, 34}, false, "", "only what processes 12, 34 send", " from processes 12, 34"},
		{[]int{12}, true, "", "only what process 12 and those that it starts send", " from process 12 and what it starts"},
		{[]int{12, 34}, true, "", "only what processes 12, 34 and those that they start send", " from processes 12, 34 and what they start"},
		{nil, false, "kind == tlb", "filter: kind == tlb", " that the filter lets pass"},
		{[]int{12}, false, "kind == tlb", "only what process 12 sends", " from process 12 that the filter lets pass"},
		{many, false, "", "31, 32 and 8 more send", " from 40 processes"},
	} {
		m := Meta{CPUs: 4, Victims: "1", PIDs: test.pids, Follow: test.follow, Filter: test.filter}
		quiet, err := ReadRecord(bytes.NewReader(record(t, m, []ipi.Snapshot{{At: 1700 * time.Millisecond}}, true)))
		if err != nil {
			t.Fatal(err)
		}
		r := quiet.Report()
		verdict, none := "CPU 1: no IPI"+test.which+" in 1.7 s", "No IPI"+test.which+" was seen."
		for _, form := range []string{"text", "html"} {
			text := write(t, forms()[form], r)
			if !strings.Contains(text, verdict) || !strings.Contains(text, none) || !strings.Contains(text, test.head) {
				t.Errorf("%s: %q, %q or %q is not in\n%s", form, verdict, none, test.head, text)
			}
			if test.head == "" && strings.Contains(text, "only what") {
				t.Errorf("%s: got\n%s", form, text)
			}
		}
		j := r.JSON()
		if !slices.Equal(j.PIDs, test.pids) || j.Follow != test.follow || len(j.Verdicts) != 1 || "CPU 1: "+j.Verdicts[0].Text != verdict {
			t.Errorf("got %v, %v, %v", j.PIDs, j.Follow, j.Verdicts)
		}
		r.Rows = []ipi.Row{kernelRow(1, ipi.Call, 7)}
		if got, want := r.verdictLines(1)[0], "CPU 1: 7 IPIs"+test.which+" in 1.7 s (4.12/s), "; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		table := NewLive(nil, Options{}, func() (int, int) { return 200, 24 }).table(Step{}, r)
		if want := "7 IPIs to CPU 1" + test.which + " in 1.7 s, 0 events lost\n"; !strings.HasPrefix(table, want) {
			t.Errorf("got %q, want %q", table, want)
		}
	}
}
