package main

import (
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

func (h *isolated) flip(r *rand.Rand) {
	var s scratch
	for !h.over() {
		n := epoch.Add(1) / 2
		if r.IntN(4) == 0 { // a batch that is not alone
			var b statickey.Batch
			b.Set(&hammerKey, n%2 == 0)
			statickey.SetValue(&b, &num32, int32(n))
			h.fail("Apply", b.Apply())
		} else {
			h.fail("Set", hammerKey.Set(n%2 == 0))
		}
		epoch.Add(1)
		h.flips.Add(1)
		h.t.round(&s)
		awhile(r)
	}
}

func (h *isolated) update(r *rand.Rand) {
	c := newCaller(r.Uint64())
	for !h.over() {
		h.fail("Update", h.up.update())
		h.updates.Add(1)
		h.calls.round(c)
		awhile(r)
	}
}

// awhile waits a little, or not.
func awhile(r *rand.Rand) {
	switch r.IntN(8) {
	case 0:
		time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
	case 1, 2:
		runtime.Gosched()
	}
}

// bystander checks on threads that are not isolated.
func (h *isolated) bystander(r *rand.Rand) {
	c := newCaller(r.Uint64())
	var s scratch
	for !h.over() {
		h.t.round(&s)
		isolate.Kernel(func() { h.calls.round(c) })
		awhile(r)
	}
}

// unmap gives mappings away, and waits for grace periods.
func (h *isolated) unmap(r *rand.Rand) {
	page := unix.Getpagesize()
	for !h.over() {
		b, err := unix.Mmap(-1, 0, page*(1+r.IntN(8)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			h.fail("mmap", err)
			return
		}
		for i := 0; i < len(b); i += page {
			b[i] = 1
		}
		h.fail("Unmap", isolate.Unmap(b))
		h.count(h.noise, "unmaps")
		if isolate.Status().Unmaps.Waiting > 0 {
			h.count(h.noise, "kept")
		}
		if r.IntN(64) == 0 {
			h.fail("SetUnmapLimits", isolate.SetUnmapLimits(page*r.IntN(100), time.Duration(r.IntN(5))*time.Millisecond))
		}
		if r.IntN(16) == 0 {
			isolate.Synchronize()
			h.count(h.noise, "synchronize")
		}
		awhile(r)
	}
}

// collect collects garbage, and now and then takes all sites back and arms them again.
func (h *isolated) collect(r *rand.Rand) {
	for !h.over() {
		time.Sleep(time.Duration(r.IntN(4000)) * time.Microsecond)
		if !h.noGC {
			runtime.KeepAlive(make([]byte, 1<<18))
			runtime.GC()
			h.count(h.noise, "collections")
		}
		if r.IntN(8) == 0 {
			h.fail("Disarm", quietpatch.Disarm())
			h.count(h.noise, "disarms")
			time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
			h.fail("Arm", armAll())
		}
	}
}

// storm sends the signal by which Go's scheduler preempts, and others, to the isolated thread.
func (h *isolated) storm(r *rand.Rand) {
	for !h.over() {
		if tid := int(h.thread.Load()); tid != 0 {
			for range r.IntN(20) {
				_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG) // it may have ended
			}
			h.count(h.noise, "signals")
		}
		awhile(r)
		time.Sleep(time.Duration(r.IntN(200)) * time.Microsecond)
	}
}
