//go:build !amd64 || race || msan || asan

package statickey

import "sync/atomic"

// flag is atomic where the order of plain accesses promises nothing, and where
// a sanitizer watches: it would rightly call the plain read a race.
type flag struct{ b atomic.Bool }

func (f *flag) load() bool   { return f.b.Load() }
func (f *flag) store(v bool) { f.b.Store(v) }
