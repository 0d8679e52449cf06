package isolate_test

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { scenarios["order"] = scenarioOrder }

// TestOrder: work is left to an isolated thread behind the writes that it is about, or it
// could be done before them.
func TestOrder(t *testing.T) {
	for _, strategy := range []string{"store", "int3"} {
		t.Run(strategy, func(t *testing.T) { scenario(t, nil, "order", strategy) })
	}
}

const orderFlips = 300

// scenarioOrder: an isolated thread reads how many syncs were left to it, and the text.
func scenarioOrder(c *child) {
	off, on := c.texts()
	phases := map[string]uint64{"store": 1, "int3": 3}[c.args[0]]
	c.reserve()
	acks := make(chan struct{}) // the next flip begins when this one was seen
	ended := make(chan struct{})
	began := make(chan string)
	go func() {
		defer close(ended)
		c.run(isolate.Options{}, func(*isolate.Thread) {
			_, why := spares()
			began <- why
			if why == "" {
				c.watch(acks, phases, off, on)
			}
		})
	}()
	if why := <-began; why != "" {
		skip(why)
	}
	for i := range orderFlips {
		must(hammerBool.Set(i%2 == 0))
		<-acks
	}
	<-ended
	if n := c.thread().Deferred; n != orderFlips*phases {
		fail("%d syncs were left to the thread in %d flips, expected %d in each", n, orderFlips, phases)
	}
	fmt.Printf("%d flips of %d sites\n", orderFlips, len(off))
}

// watch sees every flip, and what stands at the sites when a sync of it has been left to
// this thread. All sites of a Bool change in one byte that is not the first, so by
// int3 there are three syncs: behind the trap bytes, the tails, the heads.
func (c *child) watch(acks chan<- struct{}, phases uint64, off, on [][]byte) {
	for i := range uint64(orderFlips) {
		from, to := off, on
		if i%2 == 1 {
			from, to = on, off
		}
		for {
			syncs := c.deferred()
			live := c.text()
			if syncs != c.deferred() || syncs == i*phases {
				runtime.Gosched()
				continue
			}
			phase := syncs - i*phases
			if phase > phases {
				fail("flip %d: %d syncs were left to the thread, expected %d", i, phase, phases)
			}
			for n := range live {
				checkPhase(i, phase, phases, live[n], from[n], to[n])
			}
			if phase == phases {
				break
			}
		}
		acks <- struct{}{}
	}
}

func checkPhase(flip, phase, phases uint64, live, from, to []byte) {
	ok := true
	switch {
	case phase == phases:
		ok = string(live) == string(to)
	case phase == 1: // nobody writes heads before the second sync
		ok = live[0] == 0xCC
	case phase == 2:
		ok = string(live[1:]) == string(to[1:])
	}
	if !ok {
		fail("flip %d: sync %d of %d was left to the thread, and % x stands at a site (before % x, after % x)", flip, phase, phases, live, from, to)
	}
}

func (c *child) deferred() uint64 {
	for _, r := range deferral.Reports() {
		if r.CPU == c.cpu {
			return r.Deferred
		}
	}
	return 0
}

// texts returns what stands at the sites of the key while it is off, and on.
func (c *child) texts() (off, on [][]byte) {
	must(quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.Strategy(c.args[0])}))
	must(hammerBool.Set(true))
	if s := quietpatch.Status(); s.Mode != "live" {
		skip(s.Reason)
	}
	on = c.text()
	must(hammerBool.Set(false))
	return c.text(), on
}

// orderSites are where the armed sites are, and their length.
var orderSites []statickey.Site

const testqLen = 7

// text copies what stands at the sites of the hammer's key.
func (c *child) text() (out [][]byte) {
	if orderSites == nil {
		sites, err := hammerBool.Sites()
		if err != nil {
			skip(err.Error())
		}
		orderSites = sites
	}
	for _, s := range orderSites {
		if s.State == "memory" && s.Why != "" {
			continue
		}
		b := make([]byte, testqLen)
		copy(b, unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), uintptr(s.Addr))), testqLen))
		out = append(out, b)
	}
	return out
}
