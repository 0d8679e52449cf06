package stub

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/arch/x86/x86asm"
)

func mustCode(t testing.TB, d *Dispatch, at uint64) []byte {
	t.Helper()
	code, err := d.Code(at)
	if err != nil {
		t.Fatalf("%+v at %#x: %v", d, at, err)
	}
	return code
}

// TestListings: each line of the listings in doc.go is what the stub has at that
// address.
func TestListings(t *testing.T) {
	const at = 0x600000
	closure, err := Closure(at, 0xc000012340, 0x401000)
	if err != nil {
		t.Fatal(err)
	}
	count := &Count{Table: 0x7fff00000000, CPUs: 4}
	stubs := [][]byte{
		closure,
		mustCode(t, &Dispatch{Reg: 1, Targets: []uint64{0x401000, 0x80002000}, Miss: 0x403000}, at),
		mustCode(t, &Dispatch{Reg: 1, Targets: []uint64{0x401000}, Miss: 0x403000, Count: count}, at),
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^//\t([0-9a-f]+)  ((?:[0-9A-F]{2} )+) *([A-Z].*)$`).FindAllStringSubmatch(string(doc), -1)
	listing := -1
	for _, m := range lines {
		text, _, _ := strings.Cut(m[3], "//")
		want := fmt.Sprintf("%s  %s %s", m[1], m[2], strings.TrimSpace(text))
		var pc uint64
		if _, err := fmt.Sscanf(m[1], "%x", &pc); err != nil {
			t.Fatal(err)
		}
		if pc == at {
			listing++
		}
		if listing < 0 || listing >= len(stubs) || pc < at || pc >= at+uint64(len(stubs[listing])) {
			t.Fatalf("doc.go: no stub has the line %q", want)
		}
		code := stubs[listing][pc-at:]
		in, err := x86asm.Decode(code, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%x  % X  %s", pc, code[:in.Len], x86asm.GoSyntax(in, pc, nil))
		if got != want {
			t.Errorf("doc.go says\n\t%s\nthe stub has\n\t%s", want, got)
		}
	}
	if listing != len(stubs)-1 || len(lines) < 25 {
		t.Errorf("doc.go has %d listings with %d lines, want %d", listing+1, len(lines), len(stubs))
	}
}

// TestLine pins the struct to the offsets that the code has.
func TestLine(t *testing.T) {
	var l Line
	for _, c := range []struct {
		name            string
		got, want, spec uintptr
	}{
		{"size", unsafe.Sizeof(l), LineSize, 128},
		{"Target", unsafe.Offsetof(l.Target), LineTarget, 0},
		{"Miss", unsafe.Offsetof(l.Miss), LineMiss, 32},
		{"CatchAll", unsafe.Offsetof(l.CatchAll), LineCatchAll, 48},
		{"Hit", unsafe.Offsetof(l.Hit), LineHit, 52},
	} {
		if c.got != c.want || c.got != c.spec {
			t.Errorf("%s: %d in the struct, %d in the constant, want %d", c.name, c.got, c.want, c.spec)
		}
	}
	if len(l.Target) != 4 || len(l.Miss) != 4 || len(l.Hit) != 6 {
		t.Errorf("slots %d and %d, targets %d", len(l.Target), len(l.Miss), len(l.Hit))
	}
}

// TestRefused: the error says what is wrong and where, and Len is 0.
func TestRefused(t *testing.T) {
	good := func() *Dispatch {
		return &Dispatch{
			Reg: 1, Targets: []uint64{0x401000, 0x402000}, Miss: 0x403000,
			Count: &Count{Table: 0x500000, CPUs: 4},
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*Dispatch)
		want  []string
	}{
		{"SP", func(d *Dispatch) { d.Reg = 4 }, []string{"SP"}},
		{"R14", func(d *Dispatch) { d.Reg = 14 }, []string{"R14"}},
		{"register 16", func(d *Dispatch) { d.Reg = 16 }, []string{"register 16"}},
		{"register 255", func(d *Dispatch) { d.Reg = 255 }, []string{"register 255"}},
		{"7 targets", func(d *Dispatch) { d.Targets = []uint64{1, 2, 3, 4, 5, 6, 7} }, []string{"7 targets", "6"}},
		{"duplicate", func(d *Dispatch) { d.Targets = []uint64{9, 0x402000, 8, 0x402000} }, []string{"1 and 3", "0x402000"}},
		{"target 0", func(d *Dispatch) { d.Targets[1] = 0 }, []string{"address 0", "0x401000", "0x403000"}},
		{"miss 0", func(d *Dispatch) { d.Miss = 0 }, []string{"address 0"}},
		{"no lines", func(d *Dispatch) { d.Count.CPUs = 0 }, []string{"0 lines", "power of two"}},
		{"3 lines", func(d *Dispatch) { d.Count.CPUs = 3 }, []string{"3 lines", "power of two"}},
		{"8192 lines", func(d *Dispatch) { d.Count.CPUs = 8192 }, []string{"8192 lines", "4096"}},
		{"2^31 lines", func(d *Dispatch) { d.Count.CPUs = 1 << 31 }, []string{"2147483648 lines"}},
		{"no table", func(d *Dispatch) { d.Count.Table = 0 }, []string{"at 0x0"}},
		{"table not aligned", func(d *Dispatch) { d.Count.Table += 64 }, []string{"0x500040", "128"}},
		{"table at the end", func(d *Dispatch) { d.Count.Table = math.MaxUint64 - 4*LineSize + 1 }, []string{"0x200 bytes", "0xfffffffffffffe00"}},
	} {
		d := good()
		mustCode(t, d, 0x600000)
		c.spoil(d)
		code, err := d.Code(0x600000)
		if err == nil || code != nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
		if n := d.Len(); n != 0 {
			t.Errorf("%s: length %d", c.name, n)
		}
	}
	var none *Dispatch
	if _, err := none.Code(0); err == nil || none.Len() != 0 {
		t.Error("a nil Dispatch has code")
	}
}

// TestReach: the jump to the miss ends the stub; it reaches 2^31-1 up and 2^31
// down from there, and not a byte more.
func TestReach(t *testing.T) {
	const at = 0x7f0000000000
	d := &Dispatch{Reg: 3}
	d.Miss = at
	end := at + uint64(d.Len())
	for _, c := range []struct {
		miss uint64
		ok   bool
	}{
		{end + math.MaxInt32, true},
		{end + math.MaxInt32 + 1, false},
		{end - 1<<31, true},
		{end - 1<<31 - 1, false},
		{1, false},
		{math.MaxUint64, false},
	} {
		d.Miss = c.miss
		code, err := d.Code(at)
		if (err == nil) != c.ok {
			t.Errorf("miss %#x: %v", c.miss, err)
		}
		if err == nil {
			inspect(t, code, at, d)
			continue
		}
		for _, w := range []string{
			fmt.Sprintf("%#x", c.miss), fmt.Sprintf("%#x", end), fmt.Sprintf("%+#x", int64(c.miss-end)),
			"-0x80000000", "+0x7fffffff",
		} {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %s", err, w)
			}
		}
	}
	if n := d.Len(); n != 5 {
		t.Errorf("the length is %d although it depends on no address", n)
	}
	// The first target is out of reach, and what follows is not: still an error.
	d = &Dispatch{Reg: 3, Targets: []uint64{0x401000, at + 4096}, Miss: at + 8192}
	if _, err := d.Code(at); err == nil || !strings.Contains(err.Error(), "0x401000") {
		t.Errorf("target out of reach: %v", err)
	}
}

// TestLen: the length does not depend on the address.
func TestLen(t *testing.T) {
	longest := 0
	for _, d := range shapes() {
		n := d.Len()
		longest = max(longest, n)
		for _, at := range []uint64{0x600000, 0x7ffffff0, 0x803fffff} {
			if code := mustCode(t, d, at); len(code) != n {
				t.Errorf("%+v at %#x: %d bytes, Len says %d", d, at, len(code), n)
			}
		}
	}
	// The last address that fits the immediate, and the first that does not.
	for target, want := range map[uint64]int{math.MaxInt32: 7 + 6 + 5, math.MaxInt32 + 1: 10 + 6 + 5} {
		if n := (&Dispatch{Reg: 1, Targets: []uint64{target}, Miss: 0x403000}).Len(); n != want {
			t.Errorf("one target at %#x: %d bytes, want %d", target, n, want)
		}
	}
	// 34 for the line, 21 for each target, 113 for the misses.
	if want := 34 + 21*MaxTargets + 113; longest != want {
		t.Errorf("the longest stub has %d bytes, want %d", longest, want)
	}
}

// TestClosure has the three forms of MOV, and the limits of reach.
func TestClosure(t *testing.T) {
	for _, c := range []struct {
		context uint64
		mov     []byte
	}{
		{0, []byte{0xBA, 0, 0, 0, 0}},
		{math.MaxUint32, []byte{0xBA, 0xFF, 0xFF, 0xFF, 0xFF}},
		{math.MaxUint32 + 1, []byte{0x48, 0xBA, 0, 0, 0, 0, 1, 0, 0, 0}},
		{0xc000012340, []byte{0x48, 0xBA, 0x40, 0x23, 0x01, 0x00, 0xC0, 0, 0, 0}},
		{1<<64 - 1<<31, []byte{0x48, 0xC7, 0xC2, 0, 0, 0, 0x80}},
		{1<<64 - 1<<31 - 1, []byte{0x48, 0xBA, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF}},
	} {
		end := 0x90000000 + uint64(len(c.mov)) + 5
		for _, d := range []int64{math.MinInt32, -100, 0, math.MaxInt32} {
			code, err := Closure(0x90000000, c.context, end+uint64(d))
			want := append(bytes.Clone(c.mov), 0xE9, byte(d), byte(d>>8), byte(d>>16), byte(d>>24))
			if err != nil || !bytes.Equal(code, want) || len(code) > ClosureMax {
				t.Errorf("context %#x: [% X], %v; want [% X]", c.context, code, err, want)
			}
			m := machine{}
			if exit := m.run(t, code, 0x90000000); exit != end+uint64(d) || m.reg[regDX] != c.context {
				t.Errorf("context %#x: %#x at %#x", c.context, m.reg[regDX], exit)
			}
		}
		for _, d := range []int64{math.MinInt32 - 1, math.MaxInt32 + 1} {
			code, err := Closure(0x90000000, c.context, end+uint64(d))
			if err == nil || code != nil {
				t.Errorf("an entry %d bytes away: [% X]", d, code)
				continue
			}
			for _, w := range []string{fmt.Sprintf("%#x", end), fmt.Sprintf("%#x", end+uint64(d)), fmt.Sprintf("%+#x", d), "-0x80000000", "+0x7fffffff"} {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %s", err, w)
				}
			}
		}
	}
}
