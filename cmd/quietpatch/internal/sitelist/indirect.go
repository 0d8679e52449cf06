package sitelist

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quietpatch/quietpatch/internal/gobin"
	"github.com/quietpatch/quietpatch/internal/site"
)

// Indirect is the indirect calls of a program that makes them by way of retpolines.
type Indirect struct {
	Thunks     []Thunk        `json:"thunks"`
	Calls      int            `json:"calls"`
	Promotable int            `json:"promotable"` // of these
	Functions  []IndirectFunc `json:"functions"`  // that hold the calls, by name
}

// Thunk is a function by way of which indirect calls are made.
type Thunk struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// IndirectFunc is the indirect calls of one function that can be promoted, or those that
// cannot for one reason.
type IndirectFunc struct {
	Func       string `json:"func"`
	Calls      int    `json:"calls"`
	Promotable bool   `json:"promotable"`
	Why        string `json:"why"` // why not; "" if they are
}

// indirectBytes is siteBytes for thunks and functions with indirect calls.
const indirectBytes = 64

// addIndirect adds the indirect calls, as addCalls adds static ones.
func (l *List) addIndirect(f *gobin.File, size, limit int) int {
	in := &l.Indirect
	var addrs []uint64
	for _, t := range site.Thunks(f) {
		_, name, _ := f.Func(t.Addr)
		in.Thunks = append(in.Thunks, Thunk{name, fmt.Sprintf("%#x", t.Addr)})
		addrs = append(addrs, t.Addr)
		size += indirectBytes + len(name)
	}
	nth := map[IndirectFunc]int{} // without Calls
	sites := site.FindCalls(f, addrs, nil)
	for i := 0; i < len(sites) && size <= limit; i++ {
		s := &sites[i]
		fn := IndirectFunc{Func: s.Func, Promotable: s.Patchable(), Why: s.Why}
		n, ok := nth[fn]
		if !ok {
			n = len(in.Functions)
			nth[fn] = n
			in.Functions = append(in.Functions, fn)
			size += indirectBytes + len(fn.Func) + len(fn.Why)
		}
		in.Functions[n].Calls++
		in.Calls++
		if fn.Promotable {
			in.Promotable++
		}
	}
	slices.SortStableFunc(in.Functions, func(a, b IndirectFunc) int { return cmp.Compare(a.Func, b.Func) })
	return size
}
