package gobin

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/arch/x86/x86asm"

	"github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/site"
)

// findSites does what `quietpatch sites` does with the keys.
func findSites(f *File, keys []Key) []site.Site {
	targets := make([]site.Key, len(keys))
	for i, k := range keys {
		targets[i] = site.Key{Addr: k.Addr, Width: k.Width}
	}
	return site.Find(f, targets)
}

// listing is all that `quietpatch sites` gets from a file.
type listing struct {
	f     *File
	keys  []Key
	sites []site.Site
	calls []site.Site // of forwarders and thunks
	err   error       // of New or of Keys
}

// list reads a file from its bytes to its sites. The registrations are read
// without the guard that makes an error of a panic: there is no std parser in
// there whose panic it would be for.
func list(b []byte) (l listing) {
	if l.f, l.err = newBytes(b); l.err != nil {
		return l
	}
	f := l.f
	f.scanOnce.Do(func() { l.err = f.scanText() })
	var err error
	l.keys, err = f.Keys()
	l.err = errors.Join(l.err, err)
	for _, at := range f.UnknownRegistrations() {
		f.Line(at)
	}
	l.sites = findSites(f, l.keys)
	for _, s := range l.sites {
		f.Place(s.Addr, site.OurFile)
	}
	calls, _ := f.Calls()
	_, l.calls = callSites(f, calls)
	var thunks []uint64
	for _, t := range site.Thunks(f) {
		thunks = append(thunks, t.Addr)
	}
	l.calls = append(l.calls, site.FindCalls(f, thunks, nil)...)
	for _, s := range l.calls {
		f.Place(s.Addr, site.OurFile)
	}
	f.Settings()
	return l
}

// maxListTime is far more than the slowest honest file needs on a busy machine.
const maxListTime = 10 * time.Second

// listLimit is what list may allocate in total for a file of n bytes: what
// opening it may, and the sites. One of these costs some 400 bytes with its
// candidate, its reason and the growth of slices, and takes 5 bytes of text at least.
func listLimit(n int) uint64 { return allocLimit(n) + 128*uint64(n) }

// checkList reads a file that may be hostile, and checks everything that holds for each.
func checkList(t *testing.T, b []byte) listing {
	t.Helper()
	var l listing
	start := time.Now()
	n := allocated(func() { l = list(b) })
	if n > listLimit(len(b)) {
		t.Errorf("%d bytes allocated for a file of %d, %d are allowed", n, len(b), listLimit(len(b)))
	}
	t.Logf("allocated %d of limit %d, %v", n, listLimit(len(b)), time.Since(start))
	if d := time.Since(start); d > maxListTime {
		t.Errorf("%v for a file of %d bytes", d, len(b))
	}
	checkError(t, l.err)
	if l.f != nil {
		checkOffered(t, l)
		checkOfferedCalls(t, l)
	}
	return l
}

// checkError wants a kind, and what was found behind it; guard's words stand
// for a panic.
func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	if strings.Contains(text, "parser failed") {
		t.Errorf("a panic became an error: %v", err)
	}
	for _, kind := range []error{ErrNotELF, ErrArch, ErrNotGo, ErrVersion, ErrTruncated, ErrCorrupt} {
		if _, detail, ok := strings.Cut(text, kind.Error()+": "); ok && errors.Is(err, kind) && len(detail) > 8 {
			return
		}
	}
	t.Errorf("error %q; want a kind and what was found where", text)
}

// checkOffered compares each patchable site with what x86asm makes of the bytes.
func checkOffered(t *testing.T, l listing) {
	t.Helper()
	end := uint64(0)
	for i := range l.sites {
		s := &l.sites[i]
		if !s.Patchable() {
			continue
		}
		if s.Addr < end {
			t.Errorf("the site at %#x overlaps the one in front of it, which ends at %#x", s.Addr, end)
		}
		end = s.Addr + uint64(s.Code.N)
		fnEnd, ok := l.f.FuncEnd(s.Addr)
		if entry, _, isGo := l.f.Func(s.Addr); !ok || !isGo || entry != s.Entry || s.Addr < entry || end > fnEnd {
			t.Errorf("the site at %#x..%#x is not inside its function %#x..%#x", s.Addr, end, s.Entry, fnEnd)
		}
		checkInstruction(t, l, s)
	}
}

// checkOfferedCalls does the same with calls, which are five bytes whatever they call.
func checkOfferedCalls(t *testing.T, l listing) {
	t.Helper()
	for i := range l.calls {
		s := &l.calls[i]
		if !s.Patchable() {
			continue
		}
		fnEnd, ok := l.f.FuncEnd(s.Addr)
		if entry, _, isGo := l.f.Func(s.Addr); !ok || !isGo || entry != s.Entry || s.Addr < entry || s.Addr+5 > fnEnd {
			t.Errorf("the call at %#x is not inside its function %#x..%#x", s.Addr, s.Entry, fnEnd)
		}
		seg, ok := l.f.im.find(s.Addr)
		code, err := l.f.im.read(s.Addr, 5)
		if !ok || !seg.exec || err != nil {
			t.Errorf("the call at %#x is not in an executable segment: %v", s.Addr, err)
			continue
		}
		in, err := x86asm.Decode(code, 64)
		rel, _ := in.Args[0].(x86asm.Rel)
		if err != nil || in.Len != 5 || in.Op != x86asm.CALL && in.Op != x86asm.JMP || string(code) != string(s.Code.Bytes()) {
			t.Errorf("offered [%v] at %#x; x86asm says %v, %d bytes of % x, %v", s.Code, s.Addr, in, in.Len, code, err)
			continue
		}
		target := s.Addr + 5 + uint64(rel)
		if entry, _, isGo := l.f.Func(target); !isGo || entry != target {
			t.Errorf("the call at %#x goes to %#x, which is no function", s.Addr, target)
		}
	}
}

// checkInstruction reads the site from the segments, not from Text.
func checkInstruction(t *testing.T, l listing, s *site.Site) {
	t.Helper()
	seg, ok := l.f.im.find(s.Addr)
	if !ok || !seg.exec {
		t.Errorf("the site at %#x is not in an executable segment", s.Addr)
		return
	}
	code, err := l.f.im.read(s.Addr, min(15, l.f.im.rest(s.Addr)))
	if err != nil {
		t.Errorf("the site at %#x: %v", s.Addr, err)
		return
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Len != int(s.Code.N) || string(code[:in.Len]) != string(s.Code.Bytes()) {
		t.Errorf("offered [%v] at %#x; x86asm says %v, %d bytes of % x, %v", s.Code, s.Addr, in, in.Len, code, err)
		return
	}
	if op, want := in.Op, map[amd64.Form]x86asm.Op{amd64.CmpByte: x86asm.CMP, amd64.MovzxByte: x86asm.MOVZX}[s.Form]; op != want {
		t.Errorf("offered %v at %#x; x86asm says %v", s.Form, s.Addr, in)
	}
	key := l.keys[s.Key].Addr
	if m, ok := ripOperand(in); !ok || in.MemBytes != 1 || s.Addr+uint64(in.Len)+uint64(m.Disp) != key {
		t.Errorf("offered %v at %#x for the key at %#x", in, s.Addr, key)
	}
	if !l.f.inData(key) {
		t.Errorf("the key at %#x of the site at %#x is not in data", key, s.Addr)
	}
}

func ripOperand(in x86asm.Inst) (x86asm.Mem, bool) {
	for _, a := range in.Args {
		if m, ok := a.(x86asm.Mem); ok {
			return m, m.Base == x86asm.RIP && m.Index == 0
		}
	}
	return x86asm.Mem{}, false
}

// FuzzSites goes the whole way from a file to its sites, on real programs with
// a few fields changed. Run it with -fuzzminimizetime 20x, as FuzzNew.
func FuzzSites(f *testing.F) {
	for i := range synthBases {
		f.Add(uint8(i), []byte{})
	}
	for i := range len(bases) - synthBases {
		f.Add(uint8(128+i), []byte{})
	}
	for _, c := range hostileCases {
		f.Add(uint8(0), encode(c.on(newBase(f, "synth", synth{sections: true}.withSites()))))
	}
	f.Fuzz(func(t *testing.T, n uint8, edits []byte) {
		i := int(n) % synthBases
		if n >= 128 { // half of the inputs: the small ones are a hundred times as quick
			i = synthBases + int(n)%(len(bases)-synthBases)
		}
		bs := getBase(t, i)
		checkList(t, bs.apply(decodeEdits(edits)))
	})
}

// TestBases: the unchanged files have keys and sites, or there is nothing to fuzz.
func TestBases(t *testing.T) {
	for i, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			bs := getBase(t, i)
			l := checkList(t, bs.file)
			n := 0
			for _, s := range l.sites {
				if s.Patchable() {
					n++
				}
			}
			if l.err != nil || len(l.keys) == 0 || n == 0 || i >= synthBases && len(l.calls) < 5 {
				t.Errorf("%d keys, %d patchable sites, %d calls, %v", len(l.keys), n, len(l.calls), l.err)
			}
			t.Logf("%d bytes, %d fields, %d keys, %d sites, %d calls", len(bs.file), len(bs.fields), len(l.keys), n, len(l.calls))
		})
	}
}

// TestPanicIsNoSilence: what is read when keys are asked for can fail, too, and
// must not look like a program without keys.
func TestPanicIsNoSilence(t *testing.T) {
	b := synth{}.withSites()
	r := &badReader{bytes.NewReader(b), 1000, true}
	f, err := New(r, int64(len(b)), "bad")
	if err != nil {
		t.Fatal(err)
	}
	r.reads = 0
	if keys, err := f.Keys(); len(keys) != 0 || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "bad: keys that are registered: ") {
		t.Errorf("Keys() = %+v, %v; want the error", keys, err)
	}
}
