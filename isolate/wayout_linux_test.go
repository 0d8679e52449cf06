package isolate_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/isolate"
)

func init() { scenarios["wayout"] = scenarioWayOut }

// TestWayOut: a function that was given to UnmapFunc, and is called on the way out of isolation,
// may do what it likes.
func TestWayOut(t *testing.T)      { scenario(t, nil, "wayout") }
func TestWayOut2Bits(t *testing.T) { scenario(t, []string{"QUIETPATCH_CONTEXT_BITS=2"}, "wayout") }

// A thread that comes back calls four of the functions that wait. The last three are called when
// it is registered no more.
const wayOutFuncs = 7

func scenarioWayOut(c *child) {
	c.reserve()
	failed := uint64(0)
	for _, by := range []string{"return", "panic", "Goexit"} {
		for _, f := range []string{"return", "panic that Run's caller sees", "Goexit"} {
			for nth := range wayOutFuncs {
				c.tryWayOut(f, by, nth)
			}
		}
		c.tryWayBack(by)
		if by != "return" {
			failed += 3*wayOutFuncs + 1
		}
		if n := isolate.Status().Unmaps.Failed; n != failed {
			fail("after functions that were left by %s: %d have failed, expected %d", by, n, failed)
		}
	}
	for _, how := range []string{"panic: on purpose", "Goexit"} { // the same words are told once
		until(func() bool { return len(problems("could not be removed", how)) == 1 })
	}
	if len(problems()) != 2 {
		fail("problems %q", problems())
	}
}

// tryWayOut lets a function leave Run in one way, and the nth one of those that wait to be
// called in another.
func (c *child) tryWayOut(f, by string, nth int) {
	what := fmt.Sprintf("Run is left by %s, function %d by %s", f, nth, by)
	how, called := f, 0
	if by == "Goexit" {
		how = by // it takes the place of whatever was
	}
	c.outside(what, how, func() {
		c.run(isolate.Options{BlockSignals: true}, func(*isolate.Thread) {
			for i := range wayOutFuncs {
				must(isolate.UnmapFunc(1, func() error {
					if called++; i == nth {
						leave(by)
					}
					return nil
				}))
			}
			leave(f)
		})
	})
	if n := isolate.Status().Unmaps.Waiting; called != wayOutFuncs || n != 0 || isolate.Tracked() {
		fail("%s: %d functions of %d called, %d wait; tracked is %v", what, called, wayOutFuncs, n, isolate.Tracked())
	}
	c.run(isolate.Options{}, func(*isolate.Thread) {})
}

// tryWayBack does it on the way into [Thread.Kernel], which isolates the thread again.
func (c *child) tryWayBack(by string) {
	what := "back to KERNEL, a function by " + by
	c.outside(what, by, func() {
		c.run(isolate.Options{}, func(t *isolate.Thread) {
			defer func() {
				if s := c.thread().State; s != "USER" {
					fail("%s: in %s", what, s)
				}
			}()
			must(isolate.UnmapFunc(1, func() error {
				leave(by)
				return nil
			}))
			t.Kernel(runtime.Gosched)
		})
	})
}
