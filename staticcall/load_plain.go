//go:build amd64 && !race && !msan && !asan

package staticcall

// Func returns the function. It is for the forwarder, where it is inlined to the load
// of the variable. The load is plain: one aligned word, which amd64 does not tear, and
// what it points to was complete before it was stored, and loads are in order. Under
// the race detector it is an atomic load.
func (c *Call[F]) Func() F { return c.fn }
