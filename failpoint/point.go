package failpoint

import (
	"context"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/statickey"
)

// Point is a place at which faults can be injected. The zero value is off, and
// stays so until it is registered ([Register]) and turned on ([Enable]). It
// should be a package-level variable and must not be copied after first use.
//
// All methods are safe for concurrent use.
type Point struct {
	on     statickey.Bool // first: the address of the point is that of its key
	active atomic.Pointer[program]
}

// Eval does what the point's terms say, and reports whether the code at the
// point should run, with the value that a return term gives to it. While the point is
// off it is a check of a key.
//
// Evaluations that start after [Enable], [Set] or [Disable] returned nil follow
// the new terms, on any goroutine (see [statickey.Bool.Set] for "after"); those that
// started before may still follow the old ones.
func (p *Point) Eval() (v Value, ok bool) {
	if p.on.Enabled() {
		return p.eval()
	}
	return
}

// EvalContext is Eval with a context: sleep and pause end when it is done, and
// its hook, if it has one ([WithHook]), is asked first.
func (p *Point) EvalContext(ctx context.Context) (v Value, ok bool) {
	if p.on.Enabled() {
		return p.evalContext(ctx)
	}
	return
}

// eval is apart because the two checks must stay small enough to be inlined:
// they cost 79 and 80 of the compiler's budget of 80 (TestSite watches).
//
//go:noinline
func (p *Point) eval() (Value, bool) { return p.evalContext(context.Background()) }

// evalContext accepts a nil context. The key can be on while there are no terms:
// for a moment in every change, and after a flip that failed.
func (p *Point) evalContext(ctx context.Context) (Value, bool) {
	pr := p.active.Load()
	if pr == nil || !hookAllows(ctx, pr.name) {
		return Value{}, false
	}
	t, result := pr.next()
	if t == nil {
		return Value{}, false
	}
	return pr.do(ctx, t, result)
}

// replace puts new terms, nil for none, in the place of the old ones and ends
// their sleeps and pauses. It reports whether there were old ones.
func (p *Point) replace(pr *program) bool {
	old := p.active.Swap(pr)
	if old != nil {
		close(old.done)
	}
	return old != nil
}

// Hook decides whether an evaluation of the point with that name may do anything.
type Hook func(ctx context.Context, name string) bool

type hookKey struct{}

// WithHook returns a context whose evaluations ([Point.EvalContext]) ask hook
// first. An evaluation that it refuses does nothing and is not counted: tests
// that run in parallel can so keep a point for themselves.
func WithHook(ctx context.Context, hook Hook) context.Context {
	return context.WithValue(ctx, hookKey{}, hook)
}

func hookAllows(ctx context.Context, name string) bool {
	if ctx == nil {
		return true
	}
	hook, _ := ctx.Value(hookKey{}).(Hook)
	return hook == nil || hook(ctx, name)
}
