package prog

import (
	"runtime"
	"time"

	"github.com/quietpatch/quietpatch"
)

// discover uses all keys for the first time, but one, and that one after them.
func (p Program) discover() (*Report, error) {
	const last = 1 // a key with few sites
	if err := p.register(0, last); err != nil {
		return nil, err
	}
	if err := p.register(last+1, len(p.Keys)); err != nil {
		return nil, err
	}
	heap := liveHeap()
	start := time.Now()
	if err := quietpatch.Arm(); err != nil {
		return &Report{Reason: err.Error()}, nil
	}
	d := &Discovery{ArmNS: time.Since(start).Nanoseconds()}
	grown := float64(liveHeap()) - float64(heap)
	s := quietpatch.Status().Search
	d.Keys, d.Sites, d.TextBytes, d.NS = s.Keys, s.Sites, s.TextBytes, s.NS
	d.NSPer100MB = int64(float64(d.NS) * 100e6 / float64(max(d.TextBytes, 1)))
	d.BytesPerSite = ratio(float64(s.TableBytes), float64(s.Sites))
	d.HeapPerSite = round3(grown / float64(max(s.Sites, 1)))
	if _, err := p.Keys[last].Key.Sites(); err != nil {
		return nil, err
	}
	d.OneKeyNS = quietpatch.Status().Search.NS - s.NS
	return &Report{Discovery: d}, nil
}

// liveHeap is what the heap holds after everything else was freed.
func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // sync.Pools are emptied in two rounds
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
