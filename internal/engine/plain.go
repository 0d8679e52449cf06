package engine

import "github.com/quietpatch/quietpatch/internal/site"

// plain reports whether the function at entry does the same wherever it is called from:
// see site.Plain. The text does not change in that, so each function is looked at once.
func (e *Engine) plain(entry uintptr) bool {
	p, known := e.plainFuncs[entry]
	if !known {
		if e.plainFuncs == nil {
			e.plainFuncs = map[uintptr]bool{}
		}
		p = site.Plain(e.img, uint64(entry))
		e.plainFuncs[entry] = p
	}
	return p
}
