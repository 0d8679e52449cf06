package site

import "fmt"

// Reader is a function that reads the variable of a static call.
type Reader struct {
	Site       // its first read
	Err  error // nil: it is a forwarder
}

// Readers returns the functions among those of reads that read variables of static
// calls, once for each variable, in the order of reads. variable returns the address of
// the variable that reads call by a number, false if it is none of a static call.
//
// A forwarder reads one variable, so a function is checked for the first that it reads
// only: a hostile file could have one with a million reads. The compiler's initializers
// are left out.
func Readers(img Image, reads []Site, variable func(key int) (addr uint64, ok bool)) []Reader {
	type reader struct {
		entry uint64
		key   int
	}
	var out []Reader
	seen, checked := map[reader]bool{}, map[uint64]bool{}
	for i := range reads {
		r := &reads[i]
		addr, ok := variable(r.Key)
		if !ok || seen[reader{r.Entry, r.Key}] {
			continue
		}
		seen[reader{r.Entry, r.Key}] = true
		err := errSeveral
		if !checked[r.Entry] {
			checked[r.Entry] = true
			err = Forwarder(img, r.Entry, addr)
		}
		if err == nil || !initializer(r.Func) {
			out = append(out, Reader{*r, err})
		}
	}
	return out
}

var errSeveral = fmt.Errorf("%w: it reads more than one static call", ErrForwarder)

// FindForwarded returns the direct calls of the forwarders among the readers, as FindCalls,
// and judges which of them may go straight to what the forwarder calls. Key is that of
// the variable.
func FindForwarded(img Image, readers []Reader) []Site {
	var entries []uint64
	var owner []int
	for i := range readers {
		if r := &readers[i]; r.Err == nil {
			entries, owner = append(entries, r.Entry), append(owner, r.Key)
		}
	}
	found := FindCalls(img, entries, nil)
	for i := range found {
		found[i].Key = owner[found[i].Key]
		found[i].judgeForwarded(img)
	}
	return found
}
