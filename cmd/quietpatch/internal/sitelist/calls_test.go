package sitelist

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/gobin"
)

// callsProg is what testdata/calls prints of itself.
type callsProg struct {
	Sum   uint64
	Calls map[string][]struct {
		Func, File, Form, State, Why string
		Line                         int
		Addr                         uint64
	}
	Indirect []struct{ Addr uint64 }
	Errors   []string
}

// TestCalls: the list says of a file what the engine of the running program finds, in
// every kind of build.
func TestCalls(t *testing.T) {
	const stripped, pie, spectre = "-ldflags=-s -w", "-buildmode=pie", "-gcflags=all=-spectre=ret"
	for name, flags := range map[string][]string{
		"plain": nil, "stripped": {stripped}, "pie": {pie}, "spectre": {spectre},
		"spectre-stripped": {spectre, stripped}, "spectre-pie-stripped": {spectre, pie, stripped},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "spectre") && testing.Short() {
				t.Skip("builds the standard library anew")
			}
			bin := buildCalls(t, flags)
			l, err := Read(bin)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := output(t, l)
			checkCalls(t, l, text)
			if got, want := l.Indirect.Calls > 100 && l.Indirect.Promotable > 100, strings.HasPrefix(name, "spectre"); got != want || !want && l.Indirect.Calls > 0 {
				t.Errorf("%d indirect calls, %d promotable", l.Indirect.Calls, l.Indirect.Promotable)
			}
			if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
				compareCalls(t, l, runCalls(t, bin))
			}
		})
	}
}

func buildCalls(t *testing.T, flags []string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("go", append(append([]string{"build", "-o", bin}, flags...), "./testdata/calls")...)
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func runCalls(t *testing.T, bin string) *callsProg {
	t.Helper()
	out, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	var p callsProg
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	return &p
}

// checkCalls checks what is known of the source.
func checkCalls(t *testing.T, l *List, text string) {
	t.Helper()
	type call struct{ name, desc, symbol, typ, forwarders, sites, others string }
	want := []call{
		{"sum", "checksum of a block", "main.sum", "Call[func([]uint8) uint32]", "main.Sum:26", "main.use:79:call main.use:79:call", ""},
		{"", "", "main.hash", "Call[func(*main.table, string) uint64]", "main.(*table).Hash:34 main.HashOf:37", "main.use:81:call main.(*outer).Hash:1:jump", ""},
		{"", "", "main.odd", "Call[func(int) int]", "main.Even:63", "main.use:81:call", "main.Odd:60 main.Both:68"},
		{"", "", "main.last", "Call[func(int) int]", "", "", "main.Both:68"},
		{"done", "", "main.hooks+0x8", "Call", "main.Done:52", "main.use:78:call main.use:80:call", "main.main:97"},
	}
	for _, w := range want {
		if l.Stripped {
			if w.name == "" {
				continue
			}
			w.symbol, w.typ = "", "Call"
		}
		found := false
		for _, c := range l.Calls {
			got := call{name: c.Name, desc: c.Desc, symbol: c.Symbol, typ: c.Type}
			for _, f := range c.Forwarders {
				got.forwarders += fmt.Sprintf(" %s:%d", f.Func, f.Line)
			}
			for _, s := range c.Sites {
				got.sites += fmt.Sprintf(" %s:%d:%s", s.Func, s.Line, s.Form)
				if !s.Patchable || s.Why != "" {
					t.Errorf("%s: %+v", c.Name, s)
				}
			}
			for _, o := range c.Others {
				got.others += fmt.Sprintf(" %s:%d", o.Func.Func, o.Line)
				if !strings.Contains(o.Why, "not a forwarder") || !strings.Contains(text, "  "+o.Func.Func+"  ") {
					t.Errorf("%s: %+v, in\n%s", c.Name, o, text)
				}
			}
			got.forwarders, got.sites, got.others = strings.TrimSpace(got.forwarders), strings.TrimSpace(got.sites), strings.TrimSpace(got.others)
			found = found || got == w
		}
		if !found {
			t.Errorf("%+v is not in %+v", w, l.Calls)
		}
	}
	if n := map[bool]int{false: 5, true: 2}[l.Stripped]; len(l.Calls) != n || len(l.Keys) != 0 || len(l.Notes) != 0 {
		t.Errorf("%d calls, expected %d; %d keys; notes %q", len(l.Calls), n, len(l.Keys), l.Notes)
	}
	summary := "\n5 static calls, 7 call sites, 7 patchable\n"
	if l.Stripped {
		summary = "\n2 static calls, 4 call sites, 4 patchable\n"
	}
	if !strings.Contains(text, summary) || !strings.Contains(text, "forwarder") {
		t.Errorf("expected %q in\n%s", summary, text)
	}
}

// compareCalls compares the list with what the running program says.
func compareCalls(t *testing.T, l *List, p *callsProg) {
	t.Helper()
	if len(p.Errors) > 0 && !(len(p.Errors) == 1 && l.Indirect.Calls == 0 && strings.Contains(p.Errors[0], "no retpolines")) {
		t.Fatalf("the program says %q", p.Errors)
	}
	byName := map[string]*Call{}
	for i := range l.Calls {
		c := &l.Calls[i]
		name := c.Name
		if name == "" {
			name = strings.TrimPrefix(c.Symbol, "main.")
		}
		byName[name] = c
	}
	bias := p.Sum - parseAddr(t, byName["sum"].Addr)
	if (bias != 0) != l.PIE {
		t.Fatalf("sum at %#x, in the list %s", p.Sum, byName["sum"].Addr)
	}
	for name, c := range byName {
		var got, want []string
		for _, s := range c.Sites {
			got = append(got, fmt.Sprintf("%s %s %s:%d %#x %q", s.Func, s.Form, s.File, s.Line, parseAddr(t, s.Addr)+bias, s.Why))
		}
		for _, o := range c.Others {
			got = append(got, fmt.Sprintf("%s %s:%d %#x", o.Func.Func, o.File, o.Line, parseAddr(t, o.Addr)+bias))
		}
		for _, s := range p.Calls[name] {
			if strings.Contains(s.Why, "not a forwarder") {
				want = append(want, fmt.Sprintf("%s %s:%d %#x", s.Func, s.File, s.Line, s.Addr))
			} else {
				want = append(want, fmt.Sprintf("%s %s %s:%d %#x %q", s.Func, s.Form, s.File, s.Line, s.Addr, s.Why))
			}
		}
		if !sameSet(got, want) {
			t.Errorf("%s: listed\n%q\nthe program says\n%q", name, got, want)
		}
	}
	if l.Indirect.Promotable != len(p.Indirect) {
		t.Errorf("%d indirect calls are promotable, the program says %d", l.Indirect.Promotable, len(p.Indirect))
	}
}

func parseAddr(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sameSet(a, b []string) bool {
	n := map[string]int{}
	for _, s := range a {
		n[s]++
	}
	for _, s := range b {
		n[s]--
	}
	for _, v := range n {
		if v != 0 {
			return false
		}
	}
	return true
}

// TestIndirectText: the functions are shown when they are asked for, and only then.
func TestIndirectText(t *testing.T) {
	l := List{Indirect: Indirect{Calls: 5, Promotable: 3, Functions: []IndirectFunc{
		{Func: "main.f", Calls: 3, Promotable: true}, {Func: "os.\x1bf", Calls: 2, Why: "package os runs between fork and exec"},
	}}}
	const sum = "\n5 indirect calls by way of retpolines, 3 promotable\n"
	for _, c := range []struct {
		indirect bool
		l        List
		want     []string
		not      string
	}{
		{false, l, []string{sum}, "main.f"},
		{true, l, []string{sum, "  3  promotable", "main.f", "left alone: package os", `os.\x1bf`}, "\x1b"},
		{false, List{}, nil, "retpolines"},
		{true, List{}, []string{"without -gcflags=all=-spectre=ret"}, "promotable"},
	} {
		var b bytes.Buffer
		if err := c.l.WriteText(&b, c.indirect); err != nil {
			t.Fatal(err)
		}
		for _, w := range c.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("indirect %v: expected %q in\n%s", c.indirect, w, &b)
			}
		}
		if strings.Contains(b.String(), c.not) {
			t.Errorf("indirect %v: %q in\n%s", c.indirect, c.not, &b)
		}
	}
}

// TestLimitCalls: nothing is added to a list that is too long already, and all that is
// added is counted.
func TestLimitCalls(t *testing.T) {
	path := buildCalls(t, nil)
	l, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	_, doc := output(t, l)
	if _, err := read(path, len(doc)); err != nil {
		t.Errorf("a limit of the list's length: %v", err)
	}
	for _, limit := range []int{0, 600, len(doc) / 4} {
		if l, err := read(path, limit); err == nil || l != nil || !strings.Contains(err.Error(), "5 static calls") {
			t.Errorf("limit %d, a list of %d bytes: %v", limit, len(doc), err)
		}
	}
}

// TestLimitCallsStops: all that is added is counted, and nothing more is added to what is
// too long already.
func TestLimitCallsStops(t *testing.T) {
	f, err := gobin.Open(buildCalls(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls, err := f.Calls()
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1 << 30, 0} {
		var l List
		size := l.addCalls(f, calls, 0, limit)
		want, parts := 0, 0
		for _, c := range l.Calls {
			want += siteBytes + len(c.Name) + len(c.Desc) + len(c.Symbol) + len(c.Type)
			parts += len(c.Forwarders) + len(c.Sites) + len(c.Others)
			for _, fn := range c.Forwarders {
				want += siteBytes + len(fn.Func) + len(fn.File)
			}
			for _, s := range c.Sites {
				want += siteBytes + len(s.Func) + len(s.File)
			}
			for _, o := range c.Others {
				want += siteBytes + len(o.Func.Func) + len(o.File) + len(o.Why)
			}
		}
		if size != want || (parts > 0) != (limit > 0) {
			t.Errorf("limit %d: size %d, expected %d; %d parts", limit, size, want, parts)
		}
	}
}
