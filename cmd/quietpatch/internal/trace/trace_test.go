package trace

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

func TestDefaultVictims(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
		note  string
		err   string
	}{
		"both":        {map[string]string{"n": "8", "isolated": "2-3", "nohz_full": "3-4"}, "2-4", "isolated or nohz_full", ""},
		"isolated":    {map[string]string{"n": "8", "isolated": "5\n", "nohz_full": "\n"}, "5", "are isolated", ""},
		"nohz null":   {map[string]string{"n": "4", "online": "0-1", "isolated": "", "nohz_full": "  (null)\n"}, "0-1", "all that are online", ""},
		"nothing":     {map[string]string{"n": "4"}, "0-3", "all are watched", ""},
		"not a list":  {map[string]string{"n": "4", "isolated": "2-"}, "", "", "--cpus"},
		"beyond":      {map[string]string{"n": "4", "isolated": "4"}, "", "", "isolated"},
		"one machine": {map[string]string{"n": "1", "online": "0"}, "0", "all that are online", ""},
	} {
		dir := t.TempDir()
		n, err := strconv.Atoi(tc.files["n"])
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range tc.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, note, err := defaultVictims(dir, n)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: error %v, want one with %q", name, err, tc.err)
			}
			continue
		}
		if err != nil || got.String() != tc.want || !strings.Contains(note, tc.note) {
			t.Errorf("%s: %s, %q, %v; want %s, %q", name, got, note, err, tc.want, tc.note)
		}
	}
}

func TestNarrow(t *testing.T) {
	for _, tc := range []struct{ victims, filter, online, want, offline, err string }{
		{"1-3", "", "0-3", "1-3", "", ""},
		{"1-3", "cpu & CPUS{0-2} && comm != \"x\"", "0-3", "1-2", "", ""},
		{"1-3", "cpu & CPUS{0}", "0-3", "", "", "lets no IPI to CPUs 1-3 pass"},
		{"1-3", "", "0,2", "2", "1,3", ""},
		{"1,3", "", "0,2", "", "", "CPUs 1,3 are offline"},
		{"1-3", "cpu & CPUS{0-2}", "0,2", "2", "1", ""}, // the filter lets nothing to CPU 3 pass
		{"1-3", "", "", "1-3", "", ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "online"), []byte(tc.online), 0o600); err != nil {
			t.Fatal(err)
		}
		victims, err := ipi.ParseCPUs(tc.victims, 4)
		if err != nil {
			t.Fatal(err)
		}
		var filter *ipifilter.Expr
		if tc.filter != "" {
			if filter, err = ipifilter.Parse(tc.filter, 4); err != nil {
				t.Fatal(err)
			}
		}
		got, offline, err := narrow(victims, filter, dir, 4)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%+v: error %v", tc, err)
			}
			continue
		}
		if err != nil || got.String() != tc.want || offline.String() != tc.offline {
			t.Errorf("%+v: %s, %s, %v", tc, got, offline, err)
		}
	}
}

func TestOfflineNote(t *testing.T) {
	for _, tc := range []struct {
		cpus      ipi.CPUs
		named     bool
		note, err string
	}{
		{nil, true, "", ""},
		{nil, false, "", ""},
		{ipi.MakeCPUs(3), true, "", "found that of these are offline: 3"},
		{ipi.MakeCPUs(1, 3), false, "CPUs that are offline are not watched: 1,3", ""},
	} {
		note, err := offlineNote(tc.cpus, tc.named)
		if note != tc.note || (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%+v: %q, %v", tc, note, err)
		}
	}
}

// fake is a tracer that returns its snapshots one after the other, and the last from Close.
type fake struct {
	snapshots []ipi.Snapshot
	closed    int
	err       error
}

func (f *fake) Mode() string       { return "a fake" }
func (f *fake) Missing() []string  { return []string{"everything"} }
func (f *fake) Blind() []ipi.Blind { return []ipi.Blind{{Why: "eyes shut"}} }

func (f *fake) Read() (ipi.Snapshot, error) {
	s := f.snapshots[0]
	if len(f.snapshots) > 1 {
		f.snapshots = f.snapshots[1:]
	}
	return s, f.err
}

func (f *fake) Close() (ipi.Snapshot, error) {
	f.closed++
	return f.snapshots[len(f.snapshots)-1], nil
}

func snapshots() []ipi.Snapshot {
	row := func(n uint64) []ipi.Row {
		return []ipi.Row{{Key: ipi.Key{CPU: 1, Kind: ipi.Call, Cause: "f", StackID: -1}, IPIs: n, Queued: n}}
	}
	return []ipi.Snapshot{{At: 1, Rows: row(1)}, {At: 2, Rows: row(3)}, {At: 3, Rows: row(7), SelfIPIs: 5, Lost: 1}}
}

// TestSession: the report has what Close brought, and the record says the same.
func TestSession(t *testing.T) {
	var file bytes.Buffer
	f := &fake{snapshots: snapshots()}
	s, err := begin(Options{Watch: ipitrace.Options{Victims: ipi.MakeCPUs(1)}, Record: &file, Filter: "x", Notes: []string{"a note"}}, f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	err = s.Run(ctx, time.Millisecond, func(ipireport.Step, *ipireport.Report) error {
		if steps++; steps == 2 {
			cancel()
		}
		return nil
	})
	if err != nil || steps != 2 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	for range 2 {
		r, err := s.Stop()
		if err != nil || f.closed != 1 || len(r.Rows) != 1 || r.Rows[0].IPIs != 7 || r.SelfIPIs != 5 || r.Lost != 1 {
			t.Errorf("%+v, %v, closed %d times", r, err, f.closed)
		}
		if m := r.Meta; m.Mode != "a fake" || m.Victims != "1" || m.Filter != "x" || !slices.Equal(m.Notes, []string{"a note", "everything"}) || m.Kernel == "" || m.CPUs < 1 {
			t.Errorf("%+v", m)
		}
	}
	c, err := ipireport.ReadRecord(&file)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); len(r.Rows) != 1 || r.Rows[0].IPIs != 7 || r.SelfIPIs != 5 || r.Lost != 1 {
		t.Errorf("recorded: %+v", r)
	}
}

// TestOffline: CPUs that go offline while they are watched are in the report and in the record, also if they come back.
func TestOffline(t *testing.T) {
	dir := t.TempDir()
	online := func(list string) {
		if err := os.WriteFile(filepath.Join(dir, "online"), []byte(list+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	online("0-3,5")
	var file bytes.Buffer
	s, err := begin(Options{Watch: ipitrace.Options{Victims: ipi.MakeCPUs(1, 2, 3)}, Record: &file}, &fake{snapshots: snapshots()})
	if err != nil {
		t.Fatal(err)
	}
	s.offline = offlineOf(dir, s.victims, 8)
	for _, step := range []struct{ list, want string }{{"0-3,5", ""}, {"0,2-3", "1"}, {"0-1,5", "2-3"}, {"?", ""}, {"0-3", ""}} {
		online(step.list)
		if st, err := s.read(); err != nil || st.Offline.String() != step.want {
			t.Errorf("%s: got %q, %v", step.list, st.Offline, err)
		}
	}
	online("0,2-3")
	r, err := s.Stop()
	if err != nil || r.Offline.String() != "1-3" {
		t.Errorf("got %q, %v", r.Offline, err)
	}
	c, err := ipireport.ReadRecord(&file)
	if err != nil || c.Report().Offline.String() != "1-3" {
		t.Errorf("recorded: %+v, %v", c, err)
	}
}

// TestSessionFails: an error ends the run, and what was read before is reported.
func TestSessionFails(t *testing.T) {
	broken, full := errors.New("broken"), errors.New("full")
	f := &fake{snapshots: snapshots(), err: broken}
	s, err := begin(Options{}, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), time.Millisecond, nil); !errors.Is(err, broken) {
		t.Errorf("Run: %v", err)
	}
	if r, err := s.Stop(); err != nil || r.Rows[0].IPIs != 7 {
		t.Errorf("%+v, %v", r, err)
	}
	if s, err = begin(Options{}, &fake{snapshots: snapshots()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), time.Millisecond, func(ipireport.Step, *ipireport.Report) error { return full }); !errors.Is(err, full) {
		t.Errorf("Run: %v", err)
	}
	f = &fake{snapshots: snapshots()}
	if _, err := begin(Options{Record: failing{full}}, f); !errors.Is(err, full) || f.closed != 1 {
		t.Errorf("record: %v, closed %d times", err, f.closed)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestOpenFirst(t *testing.T) {
	no, never := errors.New("refused"), errors.New("never")
	fails := func(err error) func(ipitrace.Options) (ipitrace.Tracer, error) {
		return func(ipitrace.Options) (ipitrace.Tracer, error) { return nil, err }
	}
	works := func(ipitrace.Options) (ipitrace.Tracer, error) { return &fake{}, nil }
	if tr, note, err := openFirst([]backend{{title: "A", open: fails(no)}, {title: "B", open: works}}, ipitrace.Options{}); tr == nil || err != nil || !strings.Contains(note, "A: refused") {
		t.Errorf("%v, %q, %v", tr, note, err)
	}
	if tr, note, err := openFirst([]backend{{title: "A", open: works}, {title: "B", open: fails(no)}}, ipitrace.Options{}); tr == nil || err != nil || note != "" {
		t.Errorf("%v, %q, %v", tr, note, err)
	}
	_, _, err := openFirst([]backend{{title: "A", open: fails(no)}, {title: "B", open: fails(never)}}, ipitrace.Options{})
	if !errors.Is(err, no) || !errors.Is(err, never) || !strings.Contains(err.Error(), "\n  A: refused\n  B: never") {
		t.Errorf("%v", err)
	}
	if _, _, err := Open("magic", ipitrace.Options{}); !errors.Is(err, ErrBackend) {
		t.Errorf("%v", err)
	}
}

func TestSentOf(t *testing.T) {
	row := func(kind ipi.Kind, cause string, n uint64) ipi.Row {
		return ipi.Row{Key: ipi.Key{Kind: kind, Cause: cause}, IPIs: n, Queued: 100 * n}
	}
	got := sentOf(ipi.Snapshot{Lost: 9, Rows: []ipi.Row{
		row(ipi.Call, "ipi_sync_core", 1), row(ipi.Call, "sched_ttwu_pending", 2), row(ipi.TLB, "flush_tlb_func", 4),
		row(ipi.Resched, "", 8), row(ipi.IRQWork, "", 16),
	}})
	if want := (Sent{Call: 3, TLB: 4, Resched: 8, Wake: 2, Lost: 9}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if d := got.Since(Sent{Call: 1, TLB: 1, Resched: 1, Wake: 1, Lost: 1}); d != (Sent{Call: 2, TLB: 3, Resched: 7, Wake: 1, Lost: 8}) {
		t.Errorf("%+v", d)
	}
}

func TestCheckFunctions(t *testing.T) {
	table, err := kallsyms.Parse(strings.NewReader("ffffffff81000000 t do_sync_core\nffffffff81000100 t flush_tlb_func.isra.0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkFunctions(table, []string{"do_sync_core", "flush_tlb_func"}); err != nil {
		t.Error(err)
	}
	if err := checkFunctions(table, []string{"do_sync_core", "do_sync_cor"}); err == nil || !strings.Contains(err.Error(), `"do_sync_cor"`) {
		t.Error(err)
	}
}
