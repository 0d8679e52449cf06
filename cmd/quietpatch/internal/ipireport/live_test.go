package ipireport

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// screen is a terminal that knows what [Live] uses: CR, LF, CUU, EL 0 and ED 0. It does not
// scroll, so tests must not go below its last line.
type screen struct {
	t        *testing.T
	lines    [][]rune
	row, col int
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		c, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		switch c {
		case '\r':
			s.col = 0
		case '\n':
			s.row, s.col = s.row+1, 0
			if s.row == len(s.lines) {
				s.t.Fatal("the table scrolls")
			}
		case '\x1b':
			end := strings.IndexAny(text, "AKJ")
			if end < 1 || text[0] != '[' {
				s.t.Fatalf("unknown sequence %q", text)
			}
			s.sequence(text[1:end], text[end])
			text = text[end+1:]
		default:
			for len(s.lines[s.row]) <= s.col {
				s.lines[s.row] = append(s.lines[s.row], ' ')
			}
			s.lines[s.row][s.col] = c
			s.col++
		}
	}
	return len(p), nil
}

func (s *screen) sequence(number string, final byte) {
	switch final {
	case 'A':
		n, err := strconv.Atoi(number)
		if err != nil || n > s.row {
			s.t.Fatalf("up %q from line %d", number, s.row)
		}
		s.row -= n
	case 'J':
		for i := s.row + 1; i < len(s.lines); i++ {
			s.lines[i] = nil
		}
		fallthrough
	case 'K':
		s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
	}
}

func (s *screen) String() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(string(l) + "\n")
	}
	return b.String()
}

// TestLiveScreen: the table is drawn in place, shrinks without leaving anything, and Clear
// takes all of it away.
func TestLiveScreen(t *testing.T) {
	const width, height = 100, 10
	s := &screen{t: t, lines: make([][]rune, height)}
	l := NewLive(s, Options{}, func() (int, int) { return width, height })
	c := NewCollector(sampleMeta())
	shot := sampleSnapshots()
	for i, rows := range [][]ipi.Row{shot[0].Rows, append(many(640), shot[1].Rows...)} {
		step := c.Add(ipi.Snapshot{At: time.Duration(i+1) * time.Second, Rows: rows})
		if err := l.Show(step, c.Report()); err != nil {
			t.Fatal(err)
		}
		golden(t, "live"+strconv.Itoa(i)+".text", []byte(s.String()))
		for _, x := range s.lines {
			if len(x) > width {
				t.Errorf("%d characters: %s", len(x), string(x))
			}
		}
	}
	small := NewCollector(sampleMeta())
	step, r := small.Add(ipi.Snapshot{At: time.Second, Rows: []ipi.Row{kernelRow(3, ipi.Resched, 2)}}), small.Report()
	fresh := &screen{t: t, lines: make([][]rune, height)}
	if err := errors.Join(l.Show(step, r), NewLive(fresh, Options{}, l.size).Show(step, r)); err != nil {
		t.Fatal(err)
	}
	if s.String() != fresh.String() {
		t.Errorf("drawn over a larger table:\n%s\non an empty screen:\n%s", s, fresh)
	}
	if err := l.Clear(); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(s.String()) != "" || s.row != 0 {
		t.Errorf("after Clear, in line %d:\n%s", s.row, s)
	}
}

// TestLiveSizes: no size makes lines that are too long or too many.
func TestLiveSizes(t *testing.T) {
	r := sampleCollector().Report()
	for width := range 130 {
		for height := range 12 {
			l := NewLive(nil, Options{}, func() (int, int) { return width, height })
			lines := strings.Split(strings.TrimSuffix(l.table(Step{}, r), "\n"), "\n")
			w, h := width, height
			if w == 0 {
				w = 80
			}
			if h == 0 {
				h = 24
			}
			if len(lines) > max(h-1, 1) {
				t.Fatalf("%d x %d: %d lines", width, height, len(lines))
			}
			for _, x := range lines {
				if utf8.RuneCountInString(x) > w {
					t.Fatalf("%d x %d: %q", width, height, x)
				}
			}
		}
	}
}

// TestLivePlain: where no terminal is, what happened in each step, with the time.
func TestLivePlain(t *testing.T) {
	var b bytes.Buffer
	l := NewLive(&b, Options{Top: 3}, nil)
	c := NewCollector(sampleMeta())
	for _, s := range sampleSnapshots() {
		if err := l.Show(c.Add(s), c.Report()); err != nil {
			t.Fatal(err)
		}
	}
	quiet := sampleSnapshots()[2]
	quiet.At += time.Second
	if err := errors.Join(l.Show(c.Add(quiet), c.Report()), l.Clear()); err != nil {
		t.Fatal(err)
	}
	golden(t, "plain.text", b.Bytes())
}

// TestLiveEvery: steps that are too short for lines of their own are added up, to the last one.
func TestLiveEvery(t *testing.T) {
	for _, test := range []struct {
		every time.Duration
		want  []string
	}{
		{0, []string{"1.0 s 1", "2.0 s 2", "3.0 s 4", "4.0 s 8", "5.0 s 16"}},
		{time.Second, []string{"1.0 s 1", "2.0 s 2", "3.0 s 4", "4.0 s 8", "5.0 s 16"}},
		{2 * time.Second, []string{"2.0 s 3", "4.0 s 12", "5.0 s 16"}},
		{2500 * time.Millisecond, []string{"3.0 s 7", "5.0 s 24"}},
		{time.Hour, []string{"5.0 s 31"}},
	} {
		var b bytes.Buffer
		l := NewLive(&b, Options{}, nil)
		l.Every = test.every
		c := NewCollector(Meta{})
		n := uint64(0)
		for i := range 5 {
			n += 1 << i
			s := c.Add(ipi.Snapshot{At: time.Duration(i+1) * time.Second, Rows: []ipi.Row{chrony(2, "close", "", n)}, Lost: n})
			if err := l.Show(s, c.Report()); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(l.Clear(), l.Clear()); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for _, w := range test.want {
			i := strings.LastIndexByte(w, ' ')
			at, n := w[:i], w[i+1:]
			ipis, events := n+" IPIs", n+" events"
			if n == "1" {
				ipis, events = "1 IPI", "1 event"
			}
			want.WriteString(at + " CPU 2 call do_sync_core: chronyd[812], " + ipis + ", queued " + n + ", close, workqueue netstamp_clear, remedy netstamp\n")
			want.WriteString(at + " " + events + " lost\n")
		}
		if b.String() != want.String() {
			t.Errorf("every %v: got\n%swant\n%s", test.every, b.String(), want.String())
		}
	}
	// On a terminal each step is drawn.
	s := &screen{t: t, lines: make([][]rune, 24)}
	l := NewLive(s, Options{}, func() (int, int) { return 100, 24 })
	l.Every = time.Hour
	r := sampleCollector().Report()
	if err := l.Show(Step{To: 1}, r); err != nil || !strings.Contains(s.String(), "643 IPIs") {
		t.Errorf("error %v, screen\n%s", err, s)
	}
}

func TestLiveErrors(t *testing.T) {
	r := sampleCollector().Report()
	for _, size := range []func() (int, int){nil, func() (int, int) { return 80, 24 }} {
		if err := NewLive(brokenWriter{}, Options{}, size).Show(Step{Rows: r.Rows, To: 1}, r); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
	}
}
