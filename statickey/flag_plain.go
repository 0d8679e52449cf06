//go:build amd64 && !race && !msan && !asan

package statickey

// flag is the byte that sites read. A plain byte: that is the instruction that
// gets replaced. It is for amd64 only, where text is patched and where a store
// is seen by every load that comes after it in time, once the lock that Set
// releases has drained the store buffer.
type flag struct{ b bool }

func (f *flag) load() bool   { return f.b }
func (f *flag) store(v bool) { f.b = v }
