package sitelist

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/gobin"
	"github.com/quietpatch/quietpatch/internal/site"
)

// Call is one static call: a variable that holds a function. Its sites are the direct
// calls of its forwarders.
type Call struct {
	Name       string `json:"name"` // as registered; "" if it is not
	Desc       string `json:"desc"`
	Symbol     string `json:"symbol"` // "" in a stripped binary
	Type       string `json:"type"`   // without DWARF without its type argument
	Addr       string `json:"addr"`   // in the file, hexadecimal
	Forwarders []Func `json:"forwarders"`
	Sites      []Site `json:"sites"`
	// Others are functions that read the variable and are no forwarders: calls of
	// them are left alone.
	Others []Reader `json:"others"`
}

// Func is a compiled function, and a place in it: of a forwarder its entry.
type Func struct {
	Func string `json:"func"`
	File string `json:"file"`
	Line int    `json:"line"`
	Addr string `json:"addr"`
}

// Reader is a function that reads a variable, and where it does so first.
type Reader struct {
	Func
	Why string `json:"why"` // it is no forwarder
}

// addCalls adds the static calls to a list of the given size, and returns the new size.
// It stops when that is more than limit.
func (l *List) addCalls(f *gobin.File, calls []gobin.Key, size, limit int) int {
	targets := make([]site.Key, len(calls))
	for i, k := range calls {
		targets[i] = site.Key{Addr: k.Addr, Width: k.Width}
		l.Calls = append(l.Calls, Call{
			Name: k.Name, Desc: k.Desc, Symbol: k.Symbol, Type: k.Type, Addr: fmt.Sprintf("%#x", k.Addr),
			Forwarders: []Func{}, Sites: []Site{}, Others: []Reader{},
		})
		size += siteBytes + len(k.Name) + len(k.Desc) + len(k.Symbol) + len(k.Type)
	}
	readers := site.Readers(f, site.Find(f, targets), func(key int) (uint64, bool) { return targets[key].Addr, true })
	size = l.addReaders(f, readers, size, limit)
	sites := site.FindForwarded(f, readers)
	for i := 0; i < len(sites) && size <= limit; i++ {
		c := &l.Calls[sites[i].Key]
		out := newSite(f, &sites[i])
		c.Sites = append(c.Sites, out)
		size += out.size()
	}
	return size
}

// addReaders adds the functions that read the variables.
func (l *List) addReaders(f *gobin.File, readers []site.Reader, size, limit int) int {
	for i := 0; i < len(readers) && size <= limit; i++ {
		r := &readers[i]
		c := &l.Calls[r.Key]
		if r.Err == nil {
			fn := newFunc(f, r.Func, r.Entry)
			c.Forwarders = append(c.Forwarders, fn)
			size += fn.size()
		} else {
			other := Reader{newFunc(f, r.Func, r.Addr), r.Err.Error()}
			c.Others = append(c.Others, other)
			size += other.size() + len(other.Why)
		}
	}
	return size
}

func newFunc(f *gobin.File, name string, at uint64) Func {
	fn := Func{Func: name, Addr: fmt.Sprintf("%#x", at)}
	fn.File, fn.Line = f.Place(at, site.OurFile)
	return fn
}

func (f *Func) size() int { return siteBytes + len(f.Func) + len(f.File) }
