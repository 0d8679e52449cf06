//go:build !race && !msan && !asan

package statickey

// flag is the byte that sites read. A plain byte: that is the instruction that
// gets replaced. One byte is read and written whole on every CPU.
type flag struct{ b bool }

func (f *flag) load() bool   { return f.b }
func (f *flag) store(v bool) { f.b = v }
