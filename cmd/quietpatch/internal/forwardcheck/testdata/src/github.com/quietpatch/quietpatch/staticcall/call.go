// Package staticcall stands in for the real one.
package staticcall

type Call[F any] struct{ fn F }

func New[F any](f F) Call[F] { return Call[F]{fn: f} }

func (c *Call[F]) Func() F          { return c.fn }
func (c *Call[F]) Update(f F) error { c.fn = f; return nil }

func Register[F any](c *Call[F], name, description string) error { return nil }
