package sitelist

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/gobin"
	"github.com/quietpatch/quietpatch/internal/site"
)

// List is what is known of a binary. Its JSON form is stable.
type List struct {
	Binary    string `json:"binary"`
	GoVersion string `json:"go_version"`
	PIE       bool   `json:"pie"`
	Stripped  bool   `json:"stripped"`
	Keys      []Key  `json:"keys"`
	Calls     []Call `json:"calls"`
	// Indirect is about a program built with -spectre=ret; its lists are empty otherwise.
	Indirect Indirect `json:"indirect"`
	// Notes are what a reader should know: calls of Register that were not
	// understood, a sanitizer build.
	Notes []string `json:"notes"`
}

// Key is one static key.
type Key struct {
	Name   string `json:"name"` // as registered; "" if it is not
	Desc   string `json:"desc"`
	Symbol string `json:"symbol"` // "" in a stripped binary
	Type   string `json:"type"`
	Addr   string `json:"addr"` // in the file, hexadecimal
	Sites  []Site `json:"sites"`
}

// Site is one instruction that reads the key, or calls the forwarder.
type Site struct {
	Func      string `json:"func"` // the compiled function that holds it
	File      string `json:"file"`
	Line      int    `json:"line"`
	Addr      string `json:"addr"` // in the file, hexadecimal
	Form      string `json:"form"`
	Patchable bool   `json:"patchable"`
	Why       string `json:"why"` // why not; "" if it is
}

// maxListBytes bounds the text of a list, which is some 200 bytes for a site. A
// hostile file can name thousands of sites with the same long name.
const maxListBytes = 64 << 20

// Read lists the keys and sites of the binary at path.
func Read(path string) (*List, error) { return read(path, maxListBytes) }

func read(path string, limit int) (*List, error) {
	f, err := gobin.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := &List{
		Binary: path, GoVersion: f.GoVersion(), PIE: f.PIE(), Stripped: f.Stripped(),
		Keys: []Key{}, Calls: []Call{}, Indirect: Indirect{Thunks: []Thunk{}, Functions: []IndirectFunc{}}, Notes: []string{},
	}
	keys, err := f.Keys()
	if err != nil {
		l.note("keys that are not registered may be missing: %v", err)
	}
	unknown := f.UnknownRegistrations()
	sites := site.Find(f, l.addKeys(keys))
	size := l.add(f, sites, unknown, limit)
	calls, _ := f.Calls() // the error is that of Keys
	size = l.addCalls(f, calls, size, limit)
	size = l.addIndirect(f, size, limit)
	if size > limit {
		return nil, fmt.Errorf("%s: the list of %d keys, %d sites, %d static calls and %d unknown calls of Register has more than %d bytes; "+
			"names so long or sites so many are not those of a program that Go built", path, len(keys), len(sites), len(calls), len(unknown), limit)
	}
	for _, s := range []string{"-race", "-msan", "-asan"} {
		if f.Settings()[s] == "true" {
			l.note("built with %s: keys are read from memory", s)
		}
	}
	return l, nil
}

func (l *List) note(format string, args ...any) {
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

func (l *List) addKeys(keys []gobin.Key) []site.Key {
	targets := make([]site.Key, len(keys))
	for i, k := range keys {
		targets[i] = site.Key{Addr: k.Addr, Width: k.Width}
		l.Keys = append(l.Keys, Key{
			Name: k.Name, Desc: k.Desc, Symbol: k.Symbol, Type: k.Type, Addr: fmt.Sprintf("%#x", k.Addr), Sites: []Site{},
		})
	}
	return targets
}

// siteBytes is what the text of a site or note takes besides its names.
const siteBytes = 128

// add adds sites and unknown calls, and returns about how long the text of the list is. It
// stops when that is more than limit.
func (l *List) add(f *gobin.File, sites []site.Site, calls []uint64, limit int) (size int) {
	for i := range l.Keys {
		k := &l.Keys[i]
		size += siteBytes + len(k.Name) + len(k.Desc) + len(k.Symbol)
	}
	for i := 0; i < len(sites) && size <= limit; i++ {
		s := &sites[i]
		out := newSite(f, s)
		l.Keys[s.Key].Sites = append(l.Keys[s.Key].Sites, out)
		size += out.size()
	}
	for i := 0; i < len(calls) && size <= limit; i++ {
		file, line := f.Line(calls[i])
		l.note("the call of Register at %s:%d (%#x) has arguments that are no constants: its key is not listed", file, line, calls[i])
		size += siteBytes + len(file)
	}
	return size
}

func newSite(f *gobin.File, s *site.Site) Site {
	out := Site{Func: s.Func, Addr: fmt.Sprintf("%#x", s.Addr), Form: s.Form.String(), Patchable: s.Patchable(), Why: s.Why}
	out.File, out.Line = f.Place(s.Addr, site.OurFile)
	return out
}

func (s *Site) size() int { return siteBytes + len(s.Func) + len(s.File) + len(s.Why) }
