package gobin

import (
	"bytes"
	"debug/elf"
	"debug/gosym"
	"os"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const appPath = "github.com/quietpatch/quietpatch/app"

// wantKey says what must be found of a key. label names the line that the
// program prints for it; a key without a name is known to DWARF only.
type wantKey struct{ label, name, desc, symbol string }

var wantKeys = []wantKey{
	{"net.trace-sends", "net.trace-sends", "log every packet sent", ".TraceSends"},
	{"net.trace-drops", "net.trace-drops", "", ".TraceDrops"},
	{"app.größe", "app.größe", "in a struct", ".nested+0x8"},
	{"app.leveled", "app.leveled", "after a switch", ".leveled"},
	{"app.case", "app.case", "inside a switch", ".caseKey"},
	{"app.main", "app.main", "registered late", ".mainKey"},
	{"app.long", "app.long", "a description of several lines,\nwith a tab\tand more text than fits into a few machine words", ".longDesc"},
	{"dynamic", "", "", ".dynamic"},
	{"choice", "", "", ".choice"},
	{"picked", "", "", ".picked"},
	{"unused", "", "", ".Unused"},
}

// wantUnknown are the functions with a registration whose arguments are not constants.
var wantUnknown = []string{"registerChoice", "registerDynamic", "registerHeap", "registerLate", "registerPicked"}

func TestMatrix(t *testing.T) {
	for _, c := range configs() {
		t.Run(c.String(), func(t *testing.T) {
			if testing.Short() && c.slow() {
				t.Skip("builds the standard library anew")
			}
			f := openProg(t, c)
			tr := run(t, build(t, c))
			bias := checkBias(t, f, tr, c)
			checkKeys(t, f, tr, bias, c)
			checkCalls(t, f, tr, bias, c)
			checkUnknown(t, f)
			checkPlaces(t, f, tr, bias)
			checkAttributes(t, f, c)
			checkTextStart(t, f, c)
			if c.cgo() {
				checkCode(t, f, tr, bias, c)
			}
		})
	}
}

// entryOf returns the entry of the function with this name, which a reader of
// the running program's own output needs to know the load bias.
func entryOf(t *testing.T, f *File, name string) uint64 {
	t.Helper()
	found := f.tab.named(name)
	if len(found) != 1 {
		t.Fatalf("%d functions %s", len(found), name)
	}
	return f.tab.entry(found[0])
}

func checkBias(t *testing.T, f *File, tr truth, c config) uint64 {
	t.Helper()
	bias := tr["func main"].addr - entryOf(t, f, appPath+".Main")
	if !c.pie && bias != 0 || bias%4096 != 0 {
		t.Fatalf("%s.Main at %#x in the file and %#x in the process", appPath, entryOf(t, f, appPath+".Main"), tr["func main"].addr)
	}
	return bias
}

func checkKeys(t *testing.T, f *File, tr truth, bias uint64, c config) {
	t.Helper()
	var want []Key
	for _, w := range wantKeys {
		if w.name == "" && c.noDWARF {
			continue
		}
		k := Key{Name: w.name, Desc: w.desc, Addr: tr["key "+w.label].addr - bias, Type: "Bool", Width: 1}
		if !c.noSymbols {
			k.Symbol = appPath + w.symbol
		}
		want = append(want, k)
	}
	slices.SortFunc(want, func(a, b Key) int { return int(int64(a.Addr) - int64(b.Addr)) })
	got, err := f.Keys()
	if err != nil {
		t.Error(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Keys() =\n%+v, want\n%+v", got, want)
	}
	for _, k := range got {
		if !slices.ContainsFunc(f.Data(), func(r Range) bool { return r.Contains(k.Addr) }) {
			t.Errorf("key %q at %#x is outside Data() %x", k.Name, k.Addr, f.Data())
		}
	}
}

func checkUnknown(t *testing.T, f *File) {
	t.Helper()
	var got []string
	for _, call := range f.UnknownRegistrations() {
		_, name, ok := f.Func(call)
		if !ok || !strings.HasPrefix(name, appPath+".") {
			t.Errorf("unknown registration at %#x, in %q", call, name)
		}
		got = append(got, strings.TrimPrefix(name, appPath+"."))
	}
	slices.Sort(got)
	if !slices.Equal(got, wantUnknown) {
		t.Errorf("unknown registrations in %q, want %q", got, wantUnknown)
	}
}

func checkPlaces(t *testing.T, f *File, tr truth, bias uint64) {
	t.Helper()
	checked := 0
	for label, p := range tr {
		if p.file == "" {
			continue
		}
		checked++
		pc := p.addr - bias
		if file, line := f.Line(pc); file != p.file || line != p.line {
			t.Errorf("%s: Line(%#x) = %s:%d, the program says %s:%d", label, pc, file, line, p.file, p.line)
		}
		entry, name, ok := f.Func(pc)
		if end, endOK := f.FuncEnd(pc); !ok || !endOK || end <= pc || entry > pc {
			t.Errorf("%s: Func(%#x) = %#x %s %v, FuncEnd %#x %v", label, pc, entry, name, ok, end, endOK)
		}
		if p.name != "-" && (name != p.name || entry != pc) {
			t.Errorf("%s: Func(%#x) = %#x %s, the program says %s", label, pc, entry, name, p.name)
		}
	}
	if checked != 4 {
		t.Errorf("the program printed %d places, want 4", checked)
	}
}

func checkAttributes(t *testing.T, f *File, c config) {
	t.Helper()
	wantVersion := c.toolchain
	if wantVersion == "" {
		wantVersion = runtime.Version()
	}
	if got := f.GoVersion(); got != wantVersion {
		t.Errorf("GoVersion() = %q, want %q", got, wantVersion)
	}
	if f.PIE() != c.pie || f.Stripped() != c.noSymbols {
		t.Errorf("PIE() = %v, Stripped() = %v; want %v, %v", f.PIE(), f.Stripped(), c.pie, c.noSymbols)
	}
	if got := f.Settings()["GOAMD64"]; got != c.level() {
		t.Errorf("Settings()[GOAMD64] = %q, want %s", got, c.level())
	}
	lo, hi := f.tab.bounds()
	covered := slices.ContainsFunc(f.Text(), func(s Segment) bool {
		return s.Addr <= lo && hi <= s.Addr+uint64(len(s.Bytes))
	})
	if !covered {
		t.Errorf("Text() does not cover the Go code %#x..%#x", lo, hi)
	}
}

// checkTextStart compares the ways to find runtime.text with each other.
func checkTextStart(t *testing.T, f *File, c config) {
	t.Helper()
	module, ok := f.textFromModule()
	if !ok || module != f.tab.text {
		t.Errorf("moduledata says runtime.text = %#x %v, used %#x", module, ok, f.tab.text)
	}
	section, ok := sectionAddr(f.sections, ".text")
	external := strings.HasPrefix(c.name, "external")
	if !ok || (section == f.tab.text) == external {
		t.Errorf("section .text at %#x, runtime.text at %#x; must differ with external linking only", section, f.tab.text)
	}
	if external && f.textFits(section) {
		t.Errorf("the address of section .text passes for runtime.text")
	}
	if symbol, ok := f.syms.value("runtime.text"); ok == c.noSymbols || ok && symbol != f.tab.text {
		t.Errorf("symbol runtime.text at %#x %v, used %#x", symbol, ok, f.tab.text)
	}
	for _, wrong := range []uint64{f.tab.text + 16, f.tab.text - 16, f.tab.text + 64, f.tab.text + 4096, 0, 1 << 63} {
		if f.textFits(wrong) {
			t.Errorf("%#x passes for runtime.text, which is %#x", wrong, f.tab.text)
		}
	}
}

// checkCode checks that C code does not pass for Go code.
func checkCode(t *testing.T, f *File, tr truth, bias uint64, c config) {
	t.Helper()
	ef, err := elf.Open(build(t, c))
	if err != nil {
		t.Fatal(err)
	}
	defer ef.Close()
	for label, pc := range map[string]uint64{"twice": tr["c twice"].addr - bias, "twice+4": tr["c twice"].addr - bias + 4} {
		if entry, name, ok := f.Func(pc); ok {
			t.Errorf("C function %s at %#x is Go function %s at %#x", label, pc, name, entry)
		}
		if end, ok := f.FuncEnd(pc); ok {
			t.Errorf("C function %s at %#x ends as Go function at %#x", label, pc, end)
		}
		if file, line := f.Line(pc); file != "" || line != 0 {
			t.Errorf("C function %s at %#x has Go position %s:%d", label, pc, file, line)
		}
	}
	_, name, ok := f.Func(ef.Entry)
	if external := strings.HasPrefix(c.name, "external"); ok == external {
		t.Errorf("entry point %#x: Func = %q %v; C code with external linking only", ef.Entry, name, ok)
	}
}

// TestHeadless reads every program again without its section headers.
func TestHeadless(t *testing.T) {
	for _, c := range configs() {
		t.Run(c.String(), func(t *testing.T) {
			if testing.Short() && c.slow() {
				t.Skip("builds the standard library anew")
			}
			full := openProg(t, c)
			b, err := os.ReadFile(build(t, c))
			if err != nil {
				t.Fatal(err)
			}
			clear(b[40:48]) // e_shoff
			clear(b[60:64]) // e_shnum, e_shstrndx
			f, err := New(bytes.NewReader(b), int64(len(b)), "headless")
			if err != nil {
				t.Fatal(err)
			}
			if f.tab.text != full.tab.text || f.tab.addr != full.tab.addr {
				t.Errorf("table at %#x, text at %#x; with sections %#x and %#x",
					f.tab.addr, f.tab.text, full.tab.addr, full.tab.text)
			}
			// Without section headers, debug/buildinfo looks into the first writable
			// segment up to go1.26 and nowhere from go1.27 on.
			if v := f.GoVersion(); !f.Stripped() || v != "" && v != full.GoVersion() {
				t.Errorf("Stripped() = %v, GoVersion() = %q; with sections %q", f.Stripped(), v, full.GoVersion())
			}
			got, err := f.Keys()
			if err != nil {
				t.Error(err)
			}
			want := slices.DeleteFunc(slices.Clone(full.registrations().keys), func(k Key) bool { return k.Name == "" || isStaticCall(k.Type) })
			for i := range want {
				want[i].Symbol = ""
			}
			slices.SortFunc(want, func(a, b Key) int { return int(int64(a.Addr) - int64(b.Addr)) })
			if !reflect.DeepEqual(got, want) || len(got) == 0 {
				t.Errorf("Keys() = %+v, want %+v", got, want)
			}
			checkUnknown(t, f)
			if calls, err := f.Calls(); err != nil || len(calls) != 3 {
				t.Errorf("Calls() = %+v, %v; want the three that are registered", calls, err)
			}
		})
	}
}

// TestAgainstGosym compares every function with debug/gosym, and source positions
// at several addresses of each.
func TestAgainstGosym(t *testing.T) {
	for _, name := range []string{"default", "pie", "external", "cgo-internal", "race-internal", "trimpath"} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(baseConfigs, func(c config) bool { return c.name == name })
			f := openProg(t, baseConfigs[i])
			table := gosymTable(t, f, build(t, baseConfigs[i]))
			if len(table.Funcs) != f.tab.nfunc {
				t.Fatalf("%d functions, gosym has %d", f.tab.nfunc, len(table.Funcs))
			}
			notGo := 0
			for i := range table.Funcs {
				g := &table.Funcs[i]
				entry, name, ok := f.Func(g.Entry)
				end, _ := f.FuncEnd(g.Entry)
				if !ok {
					notGo++
					if file, _, _ := table.PCToLine(g.Entry); file != "" {
						t.Errorf("%s at %#x is not Go, but comes from %s", g.Name, g.Entry, file)
					}
					continue
				}
				if entry != g.Entry || end != g.End || name != g.Name {
					t.Errorf("Func(%#x) = %#x..%#x %s, gosym says %#x..%#x %s", g.Entry, entry, end, name, g.Entry, g.End, g.Name)
				}
				step := max(1, (g.End-g.Entry)/7)
				for pc := g.Entry; pc < g.End; pc += step {
					compareLine(t, f, table, pc)
				}
			}
			// Two markers of the linker, and C code where the Go linker linked it.
			if notGo > 2 != strings.HasSuffix(name, "-internal") {
				t.Errorf("%d of %d functions are not Go", notGo, f.tab.nfunc)
			}
		})
	}
}

func compareLine(t *testing.T, f *File, table *gosym.Table, pc uint64) {
	t.Helper()
	file, line := f.Line(pc)
	wantFile, wantLine, _ := table.PCToLine(pc)
	if wantLine < 0 {
		wantFile, wantLine = "", 0 // padding behind the function
	}
	if file != wantFile || line != wantLine {
		t.Errorf("Line(%#x) = %s:%d, gosym says %s:%d", pc, file, line, wantFile, wantLine)
	}
}

func gosymTable(t *testing.T, f *File, binary string) *gosym.Table {
	t.Helper()
	ef, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer ef.Close()
	for _, s := range ef.Sections {
		if !strings.HasSuffix(s.Name, ".gopclntab") {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		table, err := gosym.NewTable(nil, gosym.NewLineTable(data, f.tab.text))
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	t.Fatal("no section .gopclntab")
	return nil
}

// TestSymbols compares Symbol with debug/elf for every variable of the program.
func TestSymbols(t *testing.T) {
	for _, c := range []config{baseConfigs[0], baseConfigs[5]} {
		f := openProg(t, c)
		ef, err := elf.Open(build(t, c))
		if err != nil {
			t.Fatal(err)
		}
		defer ef.Close()
		all, err := ef.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for _, s := range all {
			if elf.ST_TYPE(s.Info) != elf.STT_OBJECT || s.Size == 0 || !strings.HasPrefix(s.Name, appPath+".") {
				continue
			}
			checked++
			if got := f.Symbol(s.Value); got != s.Name {
				t.Errorf("Symbol(%#x) = %q, want %q", s.Value, got, s.Name)
			}
			if got := f.Symbol(s.Value + s.Size - 1); s.Size > 1 && !strings.HasPrefix(got, s.Name+"+0x") {
				t.Errorf("Symbol(%#x) = %q, want inside %q", s.Value+s.Size-1, got, s.Name)
			}
		}
		if checked < len(wantKeys) {
			t.Errorf("%s: only %d variables of %s", c, checked, path.Base(appPath))
		}
		if got := f.Symbol(1); got != "" {
			t.Errorf("Symbol(1) = %q", got)
		}
	}
}
