package ipireport

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

func TestShort(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcdef", 5, "ab..."},
		{"äöüäöü", 5, "äö..."},
		{"abc", 2, ".."},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"", 0, ""},
		{"漢字漢", 6, "漢字漢"},
		{"漢字漢字", 7, "漢字..."},
		{"漢字漢字", 6, "漢..."},
		{"a漢字漢字", 8, "a漢字..."},
	} {
		if got := short(test.in, test.n); got != test.want || columns(got) > max(test.n, 0) {
			t.Errorf("%q to %d: got %q, want %q", test.in, test.n, got, test.want)
		}
	}
}

func TestColumns(t *testing.T) {
	for in, want := range map[string]int{"": 0, "abc": 3, "größe": 5, "漢字": 4, "한글": 4, "カナ": 4, "ｶﾅ": 2, "Ａ": 2, "🙂": 2, "Ж": 1, "…": 1} {
		if got := columns(in); got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}

// longNames is a report with names as long and as wide as they can be.
func longNames() *Report {
	c := NewCollector(sampleMeta())
	s := ipi.Snapshot{At: time.Second}
	for i, comm := range []string{"漢字漢字漢", "fifteen-letters", "🙂🙂🙂", "\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b", "x"} {
		r := chrony(i%3, "setsockopt", "SO_TIMESTAMP", 1<<24>>(4*i))
		r.Sender.Comm, r.Sender.Thread, r.Sender.Cgroup = comm, comm+"2", "/lxc.payload."+strings.Repeat("n", 200)
		r.Cause = strings.Repeat("long_name_of_a_function_", 8)
		s.Rows = append(s.Rows, r)
		x := interrupted(i%3, ipi.Call, r.Cause, i+1, 1<<30)
		x.Comm = comm
		s.Interrupted = append(s.Interrupted, x)
	}
	c.Add(s)
	return c.Report()
}

// TestWidths: no line of a report is wider than the terminal, the numbers are all there, and
// columns stand below each other whatever the names are.
func TestWidths(t *testing.T) {
	for _, r := range []*Report{longNames(), sampleCollector().Report()} {
		for _, width := range []int{80, 120, 200} {
			var b bytes.Buffer
			if err := r.WriteText(&b, Options{Width: width}); err != nil {
				t.Fatal(err)
			}
			for l := range strings.Lines(b.String()) {
				if n := columns(strings.TrimSuffix(l, "\n")); n > width {
					t.Errorf("%d columns of %d: %s", n, width, l)
				}
			}
			_, table, _ := strings.Cut(b.String(), "\n#")
			table, _, _ = strings.Cut("#"+table, "\n\n")
			lines := strings.Split(table, "\n")
			for _, name := range []string{"IPIs", "cause", "sender", "origin"} {
				if !strings.Contains(lines[0], name) {
					t.Errorf("width %d: no column %s:\n%s", width, name, table)
				}
			}
			at := columns(lines[0][:strings.Index(lines[0], "cause")])
			for _, l := range lines[1:] {
				cut := 0
				for i := range l {
					if columns(l[:i]) == at {
						cut = i
					}
				}
				if !strings.HasSuffix(l[:cut], "  ") || l[cut] == ' ' {
					t.Errorf("width %d: the column of causes is not at %d:\n%s", width, at, table)
				}
			}
		}
	}
}

// TestLiveWidths: the same for the live table, which would be drawn over itself.
func TestLiveWidths(t *testing.T) {
	r := longNames()
	for width := 1; width < 220; width++ {
		for l := range strings.Lines(NewLive(nil, Options{}, func() (int, int) { return width, 24 }).table(Step{To: time.Second, Rows: r.Rows}, r)) {
			if n := columns(strings.TrimSuffix(l, "\n")); n > width {
				t.Fatalf("%d columns of %d: %s", n, width, l)
			}
		}
	}
}

// TestLiveColumns: on narrow terminals, what is more telling stays.
func TestLiveColumns(t *testing.T) {
	r := longNames()
	for width, want := range map[int]string{
		120: "CPU kind IPIs now/s us each cause sender origin remedy", 80: "CPU kind IPIs now/s cause sender origin", 60: "CPU IPIs now/s cause sender ...",
	} {
		table := NewLive(nil, Options{}, func() (int, int) { return width, 24 }).table(Step{To: time.Second, Rows: r.Rows}, r)
		if got := strings.Join(strings.Fields(strings.Split(table, "\n")[1]), " "); got != want {
			t.Errorf("width %d: got %q, want %q", width, got, want)
		}
	}
}

// TestFit: columns are left out in the order given, and no more than needed.
func TestFit(t *testing.T) {
	for _, test := range []struct {
		width int
		want  string
	}{{0, "a b c name"}, {25, "a b c name"}, {24, "a c name"}, {21, "a c name"}, {20, "a name"}, {19, "a name"}, {1, "a name"}} {
		table := [][]string{{"a", "b", "c", "name"}, {"1", "22", "33", strings.Repeat("n", 40)}}
		got, flush := fit(table, "rrrl", test.width, "b", "c")
		if s := strings.Join(got[0], " "); s != test.want || len(flush) != len(got[0]) || !slices.Equal(got[1][:1], []string{"1"}) || flush[len(flush)-1] != 'l' {
			t.Errorf("width %d: got %q %q", test.width, s, flush)
		}
	}
}

func TestHang(t *testing.T) {
	for _, test := range []struct {
		in    string
		width int
		want  string
	}{
		{"one  two", 0, "one  two\n"},
		{"one  two", 40, "one  two\n"},
		{strings.Repeat("word ", 8) + "end", 33, "word word word word word word\n  word word end\n"},
		{strings.Repeat("x", 50), 33, strings.Repeat("x", 50) + "\n"},
	} {
		var b strings.Builder
		hang(&b, test.in, test.width)
		if b.String() != test.want {
			t.Errorf("%q in %d: got %q, want %q", test.in, test.width, b.String(), test.want)
		}
	}
}
