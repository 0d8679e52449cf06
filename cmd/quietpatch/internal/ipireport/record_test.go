package ipireport

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// record writes snapshots as the command does.
func record(t testing.TB, meta Meta, snapshots []ipi.Snapshot, end bool) []byte {
	t.Helper()
	var b bytes.Buffer
	r, err := NewRecorder(&b, meta)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCollector(meta)
	for _, s := range snapshots {
		if err := r.Write(c.Add(s)); err != nil {
			t.Fatal(err)
		}
	}
	if end {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// zipped makes a file of lines.
func zipped(lines ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for _, l := range lines {
		io.WriteString(z, l+"\n")
	}
	z.Close()
	return b.Bytes()
}

func sorted(r *Report) *Report {
	slices.SortFunc(r.Rows, compareRows)
	slices.SortFunc(r.Interrupted, compareInterrupted)
	return r
}

// TestRecord: what is read is what was seen live, rows, times, stacks and all.
func TestRecord(t *testing.T) {
	snapshots := sampleSnapshots()
	stacked := chrony(3, "close", "", 9)
	stacked.StackID = 4
	snapshots[1].Rows = append(snapshots[1].Rows, stacked)
	snapshots[1].Stacks = map[int32][]string{4: {"a", "b"}}
	live := NewCollector(sampleMeta())
	for _, s := range snapshots {
		live.Add(s)
	}
	c, err := ReadRecord(bytes.NewReader(record(t, sampleMeta(), snapshots, true)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sorted(c.Report()), sorted(live.Report()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestRecordTruncated cuts a record at every byte: what was read is a prefix of the
// snapshots, never less than before, and the error says where it ends.
func TestRecordTruncated(t *testing.T) {
	file := record(t, sampleMeta(), sampleSnapshots(), true)
	last, seen := 0, map[int]bool{}
	for n := range file {
		c, err := ReadRecord(bytes.NewReader(file[:n]))
		var e *RecordError
		if !errors.As(err, &e) {
			t.Fatalf("cut at %d: error %v", n, err)
		}
		if c == nil {
			if last > 0 {
				t.Fatalf("cut at %d: nothing read, more before", n)
			}
			continue
		}
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d: %v is not ErrTruncated", n, err)
		}
		r := c.Report()
		if e.Snapshots < last || r.Duration != time.Duration(e.Snapshots)*10*time.Second || e.At != r.Duration {
			t.Fatalf("cut at %d: %v, before that %d snapshots", n, err, last)
		}
		if e.Snapshots == 3 && r.sum().ipis != 643 || r.Incomplete == "" {
			t.Fatalf("cut at %d: %+v", n, r)
		}
		last = e.Snapshots
		seen[last] = true
	}
	if len(seen) != 4 {
		t.Errorf("numbers of snapshots met: %v, want 0 to 3", seen)
	}
}

// TestRecordKilled: without Close, all snapshots written are there.
func TestRecordKilled(t *testing.T) {
	c, err := ReadRecord(bytes.NewReader(record(t, sampleMeta(), sampleSnapshots(), false)))
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "3 snapshots, up to 30.0 s") {
		t.Errorf("error %v", err)
	}
	if r := c.Report(); r.sum().ipis != 643 {
		t.Errorf("got %+v", r)
	}
}

// TestRecordDamaged flips a bit in each byte: an error or, in what gzip ignores, the whole run.
func TestRecordDamaged(t *testing.T) {
	file := record(t, sampleMeta(), sampleSnapshots(), true)
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 0x10
		c, err := ReadRecord(bytes.NewReader(bad))
		if err == nil && c.Report().sum().ipis != 643 {
			t.Errorf("byte %d changed: no error, %d IPIs", i, c.Report().sum().ipis)
		}
	}
}

func TestRecordErrors(t *testing.T) {
	head := `{"format":"quietpatch-trace","version":1,"meta":{}}`
	for _, test := range []struct {
		name  string
		file  []byte
		parts string // of the error, separated by |
	}{
		{"empty", nil, "line 1|expected a record of quietpatch trace (gzip)"},
		{"text", []byte("hello, this is not a record"), "line 1|expected a record of quietpatch trace (gzip)"},
		{"format", zipped(`{"format":"x","version":1}`), `line 1|format "quietpatch-trace", found "x"`},
		{"version", zipped(`{"format":"quietpatch-trace","version":2}`), "version 1 of the format, found 2"},
		{"json", zipped(head, `{"at_ns":1}`, `{"at_ns":`), "line 3|object of JSON|1 snapshot,"},
		{"back", zipped(head, `{"at_ns":5}`, `{"at_ns":4}`), "line 3|a time from 5 ns on, found 4"},
		{"cpu", zipped(head, `{"rows":[{"cpu":0,"kind":"call"},{"cpu":8192}]}`), "line 2|row 2|a CPU from 0 to 8191, found 8192"},
		{"thread", zipped(head, `{"interrupted":[{"cpu":0},{"cpu":8192}]}`), "line 2|interrupted thread 2|a CPU from 0 to 8191, found 8192"},
		{"negative", zipped(head, `{"rows":[{"cpu":-1}]}`), "found -1"},
		{"open", zipped(head, `{"more":true}`, `{"end":true}`), "line 3|the other rows of the snapshot"},
		{"behind", zipped(head, `{"end":true}`, `{}`), "line 2|behind the last line"},
		{"long", zipped(head, `{"x":"`+strings.Repeat("x", recordLineMax)+`"}`), "line 2|at most"},
	} {
		_, err := ReadRecord(bytes.NewReader(test.file))
		var e *RecordError
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v", test.name, err)
			continue
		}
		for _, part := range strings.Split(test.parts, "|") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in: %v", test.name, part, err)
			}
		}
	}
}

// TestRecordNewer: fields and kinds of later versions do no harm.
func TestRecordNewer(t *testing.T) {
	c, err := ReadRecord(bytes.NewReader(zipped(`{"format":"quietpatch-trace","version":1,"new":1,"meta":{"new":2}}`,
		`{"at_ns":1,"new":3,"rows":[{"cpu":1,"kind":"nmi","ipis":2,"new":4}],"interrupted":[{"cpu":1,"kind":"nmi","runs":3,"new":5}]}`, `{"end":true}`)))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); len(r.Interrupted) != 1 || r.Interrupted[0] != (ipi.Interrupted{CPU: 1, Kind: ipi.Other, Runs: 3}) ||
		len(r.Rows) != 1 || r.Rows[0].Kind != ipi.Other || r.Rows[0].IPIs != 2 || r.Rows[0].StackID != -1 {
		t.Errorf("got %+v", r.Rows)
	}
}

// TestRecordOlder: a record from before there were interrupted threads, word for word, is whole.
func TestRecordOlder(t *testing.T) {
	c, err := ReadRecord(bytes.NewReader(zipped(
		`{"format":"quietpatch-trace","version":1,"meta":{"version":"v0.7.0","start":"2026-03-04T05:06:07Z","kernel":"6.12.48","machine":"x86_64","cpus":4,"victims":"2-3","mode":"eBPF"}}`,
		`{"at_ns":10000000000,"self_ipis":126,"rows":[{"cpu":2,"kind":"call","cause":"do_sync_core","pid":812,"tid":812,"comm":"chronyd","syscall":"close","path":"workqueue netstamp_clear","via":"kworker/0:1","stack":4,"ipis":50,"queued":50,"cost_ns":75000}],"stacks":{"4":["a","b"]}}`,
		`{"at_ns":20000000000,"lost":1}`,
		`{"at_ns":20000000000,"end":true}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := chrony(2, "close", "", 50)
	want.StackID, want.Sender.Thread, want.Sender.Cgroup = 4, "", ""
	if r := c.Report(); len(r.Rows) != 1 || r.Rows[0] != want || r.Lost != 1 || r.SelfIPIs != 126 || r.Duration != 20*time.Second ||
		len(r.Stacks[4]) != 2 || len(r.Interrupted) != 0 {
		t.Errorf("got %+v", r)
	}
}

// TestRecordBig: a snapshot of many rows is in many lines, and all come back.
func TestRecordBig(t *testing.T) {
	rows := many(20*recordRows + 1)
	var threads []ipi.Interrupted
	for i := range 3*recordRows + 1 {
		threads = append(threads, interrupted(1, ipi.Call, "f", i+1, uint64(i+1)))
	}
	stacks := map[int32][]string{}
	for i := range int32(2500) {
		stacks[i] = []string{"f", "g"}
	}
	file := record(t, Meta{}, []ipi.Snapshot{{At: 1, Rows: rows[:1], Stacks: stacks}, {At: 2, Rows: rows[:1], Interrupted: threads}, {At: 3, Rows: rows, Interrupted: threads}}, true)
	c, err := ReadRecord(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Report()
	var want uint64
	for i := range rows {
		want += rows[i].IPIs
	}
	if len(r.Interrupted) != len(threads) || sumRuns(r.Interrupted) != sumRuns(threads) {
		t.Errorf("%d threads with %d runs", len(r.Interrupted), sumRuns(r.Interrupted))
	}
	if len(r.Rows) != len(rows) || r.sum().ipis != want || len(r.Stacks) != len(stacks) || r.Duration != 3 {
		t.Errorf("%d rows, %d IPIs, %d stacks, duration %v", len(r.Rows), r.sum().ipis, len(r.Stacks), r.Duration)
	}
	if len(file) > 500_000 {
		t.Errorf("the file has %d bytes", len(file))
	}
}

// TestRecordBounds: a snapshot cannot have more rows or threads than are allowed, in one line or in many.
func TestRecordBounds(t *testing.T) {
	head := `{"format":"quietpatch-trace","version":1,"meta":{}}`
	rows, threads := `"rows":[{"cpu":0},{"cpu":1}]`, `"interrupted":[{"cpu":0},{"cpu":1}]`
	for _, test := range []struct {
		lines []string
		want  string // "" if there is room
	}{
		{[]string{`{"more":true,` + rows + `}`, `{` + threads + `}`, `{` + rows + `}`, `{"end":true}`}, ""},
		{[]string{`{"more":true,` + rows + `}`, `{` + rows + `}`}, "line 3: expected at most 3 rows in a snapshot"},
		{[]string{`{"more":true,` + threads + `}`, `{` + threads + `}`}, "line 3: expected at most 3 interrupted threads in a snapshot"},
	} {
		_, err := readRecord(bytes.NewReader(zipped(append([]string{head}, test.lines...)...)), recordLimits{3, namesMax})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q: got %v, want %q", test.lines, err, test.want)
		}
	}
}

func TestRecorderErrors(t *testing.T) {
	if _, err := NewRecorder(brokenWriter{}, Meta{}); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

// FuzzReadRecord: no panic for any lines; what is read can be shown and recorded again.
func FuzzReadRecord(f *testing.F) {
	for _, s := range []string{
		`{"at_ns":1,"rows":[{"cpu":1,"kind":"tlb","ipis":2,"stack":1}],"stacks":{"1":["a"]}}` + "\n" + `{"end":true}`,
		`{"more":true}` + "\n" + `{"at_ns":7}`, `{"at_ns":-1}`, `{"rows":[{"cpu":99999}]}`, `null`, "",
		`{"interrupted":[{"cpu":7,"kind":"tlb","comm":"\u001b","runs":18446744073709551615},{"cpu":7,"kind":"x","pid":-1,"runs":1}]}`,
		`{"at_ns":9223372036854775807,"lost":18446744073709551615,"rows":[{"cpu":8191,"comm":"\u001b","ipis":18446744073709551615,"stack":-5}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		c, err := ReadRecord(bytes.NewReader(zipped(`{"format":"quietpatch-trace","version":1,"meta":{"cpus":4}}`, string(lines))))
		var e *RecordError
		if err != nil && (!errors.As(err, &e) || e.Line < 1) {
			t.Fatalf("error %v", err)
		}
		if c == nil {
			return
		}
		r := c.Report()
		for name, form := range forms() {
			if err := form(r, io.Discard); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		again, err := ReadRecord(bytes.NewReader(record(t, r.Meta, []ipi.Snapshot{{
			At: r.Duration, Rows: r.Rows, Lost: r.Lost, SelfIPIs: r.SelfIPIs, Stacks: r.Stacks, Interrupted: r.Interrupted,
		}}, true)))
		if err != nil {
			t.Fatal(err)
		}
		if a := again.Report(); a.sum() != r.sum() || sumRuns(a.Interrupted) != sumRuns(r.Interrupted) || a.Lost != r.Lost || a.Duration != r.Duration {
			t.Fatalf("again %+v, first %+v", a, r)
		}
	})
}

// FuzzReadFile: no panic for files that are no records.
func FuzzReadFile(f *testing.F) {
	file := record(f, sampleMeta(), sampleSnapshots(), true)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := ReadRecord(bytes.NewReader(file))
		if c == nil && err == nil || err != nil && c != nil && c.Report().Incomplete == "" {
			t.Fatalf("collector %v, error %v", c, err)
		}
	})
}
