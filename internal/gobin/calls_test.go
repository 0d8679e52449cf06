package gobin

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/site"
)

// wantCall says what must be found of a static call; label as for keys. users are the
// functions that hold a call of the forwarder, by form.
type wantCall struct{ label, name, desc, symbol, typ, forwarders, users, others string }

var wantCalls = []wantCall{
	{"app.sum", "app.sum", "checksum of a block", ".sum", "Call[func([]uint8) uint32]", "Sum", "callers:call callers:call", ""},
	{"app.twisted", "app.twisted", "", ".twisted", "Call[func(int) int]", "", "", "Twisted"},
	{"app.hash", "app.hash", "in a struct", ".table+0x8", "Call", "(*hashTable).Hash", "callers:call wrapped.Hash:call (*wrapped).Hash:jump", "calls"},
	{"unnamed", "", "", ".unnamed", "Call[func(int) int]", "Double", "callers:call", ""},
	{"late", "", "", ".late", "Call[func([]uint8) uint32]", "", "", "calls"},
}

func checkCalls(t *testing.T, f *File, tr truth, bias uint64, c config) {
	t.Helper()
	var want []Key
	shape := map[uint64]wantCall{}
	for _, w := range wantCalls {
		addr := tr["call "+w.label].addr - bias
		shape[addr] = w
		if w.name == "" && c.noDWARF {
			continue
		}
		k := Key{Name: w.name, Desc: w.desc, Addr: addr, Type: w.typ, Width: 8}
		if c.noDWARF {
			k.Type = "Call"
		}
		if !c.noSymbols {
			k.Symbol = appPath + w.symbol
		}
		want = append(want, k)
	}
	slices.SortFunc(want, func(a, b Key) int { return cmp.Compare(a.Addr, b.Addr) })
	got, err := f.Calls()
	if err != nil {
		t.Error(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Calls() =\n%+v, want\n%+v", got, want)
	}
	if c.name == "no-optimization" || strings.HasPrefix(c.name, "race") {
		return // Func is not inlined, or is no plain load
	}
	for i, u := range findCalls(f, got) {
		w := shape[got[i].Addr]
		if u.forwarders != w.forwarders || sorted(u.sites) != sorted(w.users) || u.others != w.others {
			t.Errorf("%s: found %+v, want %+v", w.label, u, w)
		}
	}
}

func sorted(words string) string {
	w := strings.Fields(words)
	slices.Sort(w)
	return strings.Join(w, " ")
}

// uses is who uses a static call, in words.
type uses struct{ forwarders, sites, others string }

// findCalls does what `quietpatch sites` does with the static calls.
func findCalls(f *File, calls []Key) []uses {
	found, sites := callSites(f, calls)
	for _, s := range sites {
		word := fmt.Sprintf(" %s:%v", strings.TrimPrefix(s.Func, appPath+"."), s.Form)
		if !s.Patchable() {
			word += "(" + s.Why + ")"
		}
		found[s.Key].sites += word
	}
	return found
}

func callSites(f *File, calls []Key) ([]uses, []site.Site) {
	targets := make([]site.Key, len(calls))
	for i, k := range calls {
		targets[i] = site.Key{Addr: k.Addr, Width: k.Width}
	}
	found := make([]uses, len(calls))
	readers := site.Readers(f, site.Find(f, targets), func(key int) (uint64, bool) { return targets[key].Addr, true })
	for _, r := range readers {
		u, to := &found[r.Key], &found[r.Key].forwarders
		if r.Err != nil {
			to = &u.others
		}
		*to = strings.TrimSpace(*to + " " + strings.TrimPrefix(r.Func, appPath+"."))
	}
	sites := site.FindForwarded(f, readers)
	return found, sites
}
