package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// eventCount counts what a subscriber hears of.
type eventCount struct {
	before        uint64 // batches of the engine when it began
	good, refused atomic.Uint64
	bad           atomic.Pointer[string] // an event that makes no sense
	end           func()
}

func (c *eventCount) subscribe() {
	c.before = quietpatch.Status().Counters.Batches
	c.end = quietpatch.Subscribe(func(e quietpatch.Event) {
		switch {
		case e.Err == nil:
			c.good.Add(1)
		case errors.Is(e.Err, statickey.ErrNoWait):
			c.refused.Add(1)
		}
		if e.KeyCount < 1 || len(e.Keys) == 0 || e.NoWait && (e.Syncs != 0 || e.Err != nil && e.Pokes != 0) {
			msg := fmt.Sprintf("event %+v", e)
			c.bad.CompareAndSwap(nil, &msg)
		}
	})
}

// compare ends the subscription. It must have heard of every batch, once.
func (c *eventCount) compare(h *nightly) {
	c.end()
	if n := quietpatch.Status().Counters.Batches - c.before; c.good.Load() != n {
		h.fail("a subscriber heard of %d batches, and there were %d", c.good.Load(), n)
	}
	var refused uint64
	for i := range h.kinds {
		refused += h.kinds[i].refused.Load()
	}
	if c.refused.Load() != refused {
		h.fail("a subscriber heard of %d changes that would have had to wait, and there were %d", c.refused.Load(), refused)
	}
	if p := c.bad.Load(); p != nil {
		h.fail("%s", *p)
	}
}

func (h *nightly) report() nightlyReport {
	h.sample()
	r := nightlyReport{
		Seed: h.o.seed, Seconds: time.Since(h.start).Seconds(), Storms: h.storms.Load(),
		Events: h.events.good.Load(), Noise: map[string]int{}, Status: quietpatch.Status(),
	}
	for i := range h.cells {
		c := &h.cells[i]
		r.Cells = append(r.Cells, cellReport{
			Strategy: nightlyCells[i], Backend: h.o.backend,
			Flips: c.flips.Load(), Batches: c.batches.Load(), Checks: c.checks.Load(),
			Verified: c.verified.Load(), Wrong: c.wrong.Load(),
			Hits: c.hits.Load(), Late: c.late.Load(), Retried: c.retried.Load(),
			Arms: c.arms.Load(), Disarms: c.disarms.Load(),
		})
	}
	for i := range h.kinds {
		k := &h.kinds[i]
		r.Kinds = append(r.Kinds, kindReport{
			Kind: kindNames[i], Flips: k.flips.Load(), Verified: k.verified.Load(), Wrong: k.wrong.Load(),
			NoWait: k.noWait.Load(), Refused: k.refused.Load(), Matched: k.matched.Load(), Held: k.held.Load(),
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, n := range h.noise {
		r.Noise[name] = n
	}
	if p := h.first.Load(); p != nil {
		r.First = *p
	}
	if p := h.fault.Load(); p != nil {
		r.Fault = *p
	}
	return r
}

func (h *nightly) progress() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.done:
			return
		case <-tick.C:
			h.print(h.report())
		}
	}
}

func (h *nightly) print(r nightlyReport) {
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		h.fail("progress: %v", err)
	}
}

// finish arms everything again and checks it, then disarms and compares the
// text with the file: not a byte may differ.
func (h *nightly) finish() nightlyReport {
	if err := errors.Join(configure("", h.o.backend), quietpatch.Arm()); err != nil {
		h.fail("at the end: %v", err)
	}
	if err := errors.Join(countedKey.Flush(), statickey.Sync()); err != nil {
		h.fail("at the end: %v", err)
	}
	h.events.compare(h)
	var s scratch
	h.roundAll(&s, nightKeys, true)
	r := h.report()
	r.Final = true
	for _, k := range nightKeys {
		ss, err := k.sites()
		if err != nil {
			r.Fault = fmt.Sprintf("%s: %v", k.name, err)
		}
		for _, site := range ss {
			if site.Addr/64 != (site.Addr+6)/64 {
				r.Straddle++
			}
		}
	}
	r.RWX = rwx()
	if err := quietpatch.Disarm(); err != nil {
		r.Fault = "at the end: " + err.Error()
	}
	h.roundAll(&s, nightKeys, true)
	if p := h.first.Load(); p != nil {
		r.First = *p
	}
	r.Text = textDiffers()
	return r
}
