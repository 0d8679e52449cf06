package isolate_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/isolate"
)

func init() {
	scenarios["functions"] = scenarioFunctions
	scenarios["foreign"] = scenarioForeign
}

func TestFunctions(t *testing.T) { scenario(t, nil, "functions") }
func TestForeign(t *testing.T)   { scenario(t, nil, "foreign") }

// scenarioFunctions: the functions of the package know whether they run on an isolated thread.
func scenarioFunctions(c *child) {
	c.reserve()
	functions := map[string]func(func()){
		"KERNEL": isolate.Kernel, "IDLE": isolate.Idle, "USER": isolate.User, "GUEST": isolate.Guest,
	}
	just := func(what string) {
		before := c.thread()
		for name, f := range functions {
			called := false
			f(func() { called = true })
			if after := c.thread(); !called || after != before {
				fail("%s: %s called its function: %v; %+v became %+v", what, name, called, before, after)
			}
			func() {
				defer func() {
					if recover() != errExit {
						fail("%s: %s keeps a panic", what, name)
					}
				}()
				f(func() { panic(errExit) })
			}()
		}
	}
	just("nobody is isolated")
	c.run(isolate.Options{DeferIdle: true}, func(t *isolate.Thread) {
		others := make(chan struct{})
		go func() {
			just("another thread is isolated")
			close(others)
		}()
		<-others
		for _, state := range states {
			call(t, state, func() {
				for name, f := range functions {
					var in string
					f(func() { in = c.thread().State })
					if now := c.thread().State; in != name || now != state {
						fail("%s in %s: the function ran in %q, then it is %s", name, state, in, now)
					}
				}
			})
		}
	})
	just("nobody is isolated any more")
	if len(problems()) > 0 {
		fail("problems %q", problems())
	}
}

// scenarioForeign: methods of a Thread that are called by others, or too late, call their
// function, touch no state, and are told of.
func scenarioForeign(c *child) {
	c.reserve()
	var late *isolate.Thread
	try := func(what string, t *isolate.Thread) {
		before := c.thread()
		for _, state := range states {
			called, noted := false, len(problems("by another goroutine"))
			call(t, state, func() {
				called = true
				if in := c.thread(); in != before {
					fail("%s: within %s, %+v became %+v", what, state, before, in)
				}
			})
			if after := c.thread(); !called || after != before {
				fail("%s: %s called its function: %v; %+v became %+v", what, state, called, before, after)
			}
			if now := len(problems("by another goroutine", fmt.Sprint("CPU ", c.cpu))); noted == 0 && now == 0 {
				fail("%s: %s by another goroutine is not among the problems %q", what, state, problems())
			}
		}
	}
	c.run(isolate.Options{DeferIdle: true}, func(t *isolate.Thread) {
		late = t
		for _, state := range states {
			call(t, state, func() {
				others := make(chan struct{})
				go func() {
					try("another goroutine, the thread is in "+state, t)
					close(others)
				}()
				<-others
			})
		}
	})
	try("after Run", late)
	// A later Thread of the same CPU, even of the same goroutine, is another one; but nobody can
	// tell an old method value from it, so at least nothing breaks.
	c.run(isolate.Options{}, func(*isolate.Thread) {
		late.Kernel(func() {})
		if s := c.thread().State; s != "USER" {
			fail("an old Thread left the state %s", s)
		}
	})
	// Code that unlocks once more than it has locked does not let others onto the thread.
	c.run(isolate.Options{}, func(t *isolate.Thread) {
		t.Kernel(runtime.UnlockOSThread)
		if !locked() {
			fail("unlocked from its thread")
		}
	})
}
