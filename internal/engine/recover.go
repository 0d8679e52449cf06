package engine

import "github.com/quietpatch/quietpatch/internal/site"

// recovers reports whether the function at entry may recover a panic. The text does not
// change in that, so each function is looked at once.
func (e *Engine) recovers(entry uintptr) bool {
	r, known := e.recover[entry]
	if !known {
		if e.recover == nil {
			e.recover = map[uintptr]bool{}
		}
		r = site.Recovers(e.img, uint64(entry))
		e.recover[entry] = r
	}
	return r
}
