package isolate_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/isolate"
)

func init() { scenarios["synchronize"] = scenarioSynchronize }

func TestSynchronize(t *testing.T) { scenario(t, nil, "synchronize") }

func TestSynchronize2Bits(t *testing.T) {
	scenario(t, []string{"QUIETPATCH_CONTEXT_BITS=2"}, "synchronize")
}

// scenarioSynchronize: it waits for what runs in KERNEL, and for nothing else.
func scenarioSynchronize(c *child) {
	isolate.Synchronize() // nobody
	c.reserve()
	for _, state := range []string{"USER", "GUEST", "IDLE"} {
		stop := make(chan struct{})
		ended := c.apart(isolate.Options{DeferIdle: true}, func(t *isolate.Thread) {
			call(t, state, func() { <-stop })
		})
		until(func() bool { return c.thread().State == state })
		isolate.Synchronize() // the thread waits for it to return
		close(stop)
		<-ended
	}
	for _, back := range []string{"end of Kernel", "User within Kernel", "end of Run"} {
		within, did := make(chan struct{}), make(chan struct{})
		var over atomic.Bool
		ended := c.apart(isolate.Options{}, func(t *isolate.Thread) {
			leave := func() {
				close(within)
				time.Sleep(50 * time.Millisecond)
				over.Store(true)
			}
			t.Kernel(func() {
				leave()
				if back == "User within Kernel" {
					t.User(func() { <-did })
				}
			})
			if back == "end of Kernel" {
				<-did
			}
		})
		<-within
		isolate.Synchronize()
		if !over.Load() {
			fail("%s: Synchronize returned, and the thread has not left KERNEL", back)
		}
		close(did)
		<-ended
	}
}
