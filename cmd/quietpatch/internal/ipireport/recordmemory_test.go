package ipireport

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

const recordHeadLine = `{"format":"quietpatch-trace","version":1,"meta":{"cpus":4}}`

// TestRecordMemory: what a record makes a reader hold is bounded, in one snapshot and in many.
func TestRecordMemory(t *testing.T) {
	const max = 20_000
	name := func(i int) string { return fmt.Sprint(i, strings.Repeat("x", 1000)) }
	row := func(i int, field string) string { return fmt.Sprintf(`"rows":[{"cpu":1,"%s":"%s"}]`, field, name(i)) }
	thread := func(i int, field string) string {
		return fmt.Sprintf(`"interrupted":[{"cpu":1,"%s":"%s","runs":1}]`, field, name(i))
	}
	lines := func(of func(i int) string) (list []string) {
		for i := range 30 {
			list = append(list, of(i))
		}
		return list
	}
	const tooMany = "expected at most 20000 bytes of names and stacks"
	tests := map[string]struct {
		lines []string
		want  string // "" if it can be read
	}{
		"stacks":       {lines(func(i int) string { return fmt.Sprintf(`{"stacks":{"%d":["%s"]}}`, i, name(i)) }), tooMany},
		"stacks, open": {lines(func(i int) string { return fmt.Sprintf(`{"more":true,"stacks":{"%d":["%s"]}}`, i, name(i)) }), tooMany},
		"no names":     {lines(func(i int) string { return fmt.Sprintf(`{"stacks":{"%d":[%s""]}}`, i, strings.Repeat(`"",`, 99)) }), tooMany},
		"empty stacks": {[]string{`{"stacks":{` + strings.Join(lines(func(i int) string { return fmt.Sprintf(`"%d":[],"%d":[]`, 1000+i, 2000+i) }), ",") + `}}`, `{"end":true}`}, ""},
		"the same name": {append(lines(func(i int) string {
			return strings.Replace(`{`+row(1, "comm")+`}`, `"cpu"`, fmt.Sprintf(`"pid":%d,"cpu"`, i), 1)
		}), `{"end":true}`), ""},
		"replaced": {append(lines(func(i int) string { return fmt.Sprintf(`{"stacks":{"1":["%s"]}}`, name(i)) }), `{"end":true}`), ""},
		"kinds":    {append(lines(func(i int) string { return `{` + row(i, "kind") + `}` }), `{"end":true}`), ""},
		"few":      {append(lines(func(i int) string { return `{` + row(i%10, "comm") + `}` }), `{"end":true}`), ""},
		"head":     {nil, "expected at most 1048576 bytes in a line"},
	}
	for _, field := range []string{"cause", "comm", "thread", "cgroup", "syscall", "detail", "path", "via", "remedy"} {
		x := tests["few"]
		x.lines, x.want = lines(func(i int) string { return fmt.Sprintf(`{"at_ns":%d,%s}`, i, row(i, field)) }), tooMany
		tests["rows, "+field] = x
		if field == "remedy" { // a row keeps its first one
			tests["rows, "+field] = tests["few"]
		}
		x.lines = lines(func(i int) string { return fmt.Sprintf(`{"more":true,"at_ns":%d,%s}`, i, row(i, field)) })
		tests["rows, open, "+field] = x
	}
	for _, field := range []string{"cause", "comm", "thread"} {
		x := tests["stacks"]
		x.lines = lines(func(i int) string { return fmt.Sprintf(`{"at_ns":%d,%s}`, i, thread(i, field)) })
		tests["threads, "+field] = x
		x.lines = lines(func(i int) string { return fmt.Sprintf(`{"more":true,"at_ns":%d,%s}`, i, thread(i, field)) })
		tests["threads, open, "+field] = x
	}
	for name, test := range tests {
		head := recordHeadLine
		if name == "head" {
			head = `{"format":"quietpatch-trace","version":1,"meta":{"notes":[` + strings.Repeat(`"",`, recordHeadMax/3) + `""]}}`
		}
		_, err := readRecord(bytes.NewReader(zipped(append([]string{head}, test.lines...)...)), recordLimits{snapshotMax, max})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// TestRecordItems: a line that is small in the file and large when it is decoded is not decoded.
func TestRecordItems(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`{"rows":[` + strings.Repeat("{},", recordItemsMax-1) + `{}]}`, ""},
		{`{"rows":[` + strings.Repeat("{},", 2<<20) + `{}]}`, "fewer than 131072 rows, stacks and threads"},
		{`{"interrupted":[` + strings.Repeat("{},", recordItemsMax) + `{}]}`, "fewer than 131072 rows"},
		{`{"stacks":{` + strings.Repeat(`"1":[],`, recordItemsMax) + `"1":[]}}`, "fewer than 131072 rows"},
		{`{"stacks":{"1":[` + strings.Repeat(`"",`, recordPartsMax) + `""]}}`, "fewer than 2097152 fields and frames"},
		{`{"stacks":{"1":[[` + strings.Repeat(`[],`, recordPartsMax) + `[]]]}}`, "fewer than 2097152 fields and frames"},
		{`{"rows":[{"comm":"\"` + strings.Repeat(`,`, recordPartsMax) + `\\"}]}`, ""},
		{strings.Repeat("]", 10) + strings.Repeat(",", 10), "an object of JSON"},
	} {
		var before, after runtime.MemStats
		file := zipped(recordHeadLine, test.line, `{"end":true}`)
		runtime.ReadMemStats(&before)
		_, err := ReadRecord(bytes.NewReader(file))
		runtime.ReadMemStats(&after)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%.40s: got %v, want %q", test.line, err, test.want)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
			t.Errorf("%.40s: %d MB were allocated for %d bytes", test.line, n>>20, len(file))
		}
	}
}

// TestRecordHonest: the bounds are far from what a big run has.
func TestRecordHonest(t *testing.T) {
	rows := many(100_000)
	for i := range rows {
		rows[i].Sender.Cgroup = fmt.Sprintf("/kubepods.slice/pod%d.slice/cri-containerd-%064x.scope", i/64, i/64)
	}
	c, err := ReadRecord(bytes.NewReader(record(t, Meta{CPUs: 64, Victims: "0-63"}, []ipi.Snapshot{{At: time.Second, Rows: rows}}, true)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Report().Rows); n != len(rows) {
		t.Errorf("%d rows", n)
	}
}

// TestTimelineLanes: slices with many CPUs are fewer.
func TestTimelineLanes(t *testing.T) {
	c := NewCollector(Meta{})
	c.lanesMax = 1000
	var n uint64
	for i := range uint64(50) {
		var rows []ipi.Row
		for cpu := range 100 {
			rows = append(rows, kernelRow(cpu, ipi.Call, i+1))
		}
		n += 100
		c.Add(ipi.Snapshot{At: time.Duration(i+1) * time.Second, Rows: rows})
		lanes, sum := 0, uint64(0)
		for _, s := range c.Report().Timeline {
			lanes += len(s.IPIs)
			for _, ipis := range s.IPIs {
				sum += ipis
			}
		}
		if lanes > c.lanesMax || sum != n {
			t.Fatalf("%d lanes, %d IPIs of %d", lanes, sum, n)
		}
	}
}
