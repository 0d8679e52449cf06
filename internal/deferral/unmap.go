package deferral

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// A release that waits: a mapping of so many bytes, at addr unless that is 0.
type held struct {
	addr    uintptr
	bytes   int
	release func() error
	failed  func(error)
}

// ErrTwice: the mapping waits already.
var ErrTwice = errors.New("unmapped twice")

// pending is what waits to be unmapped.
//
// Barrier pair R: releaseNow counts releasing up and then reads the words; a thread that goes out
// changes its word and then reads releasing. Both are locked instructions, so either it sees
// the thread outside, or the thread sees that it has to wait.
var (
	unmapping sync.Mutex // covers what follows, and lets one settle at a time
	waiting   []held
	bytesHeld int
	since     time.Time // when the oldest was held
	timer     *time.Timer
	limits    = Limits{Bytes: 64 << 20, Age: 10 * time.Second}
	counts    Unmaps

	releasing atomic.Int32
)

// Limits bound what waits.
type Limits struct {
	Bytes int
	Age   time.Duration
}

// Unmaps counts releases.
type Unmaps struct {
	Waiting      int    // now
	WaitingBytes int    // now
	Held         uint64 // that had to wait
	Released     uint64 // of these, when nobody was isolated
	Forced       uint64 // of these, because a limit was passed
	Interrupts   uint64 // isolated CPUs that forced ones interrupted
	Failed       uint64
}

// SetLimits changes the limits; what is beyond the new ones is released.
func SetLimits(l Limits) {
	unmapping.Lock()
	defer unmapping.Unlock()
	limits = l
	if len(waiting) == 0 {
		return
	}
	stopTimer()
	if bytesHeld > limits.Bytes || time.Since(since) >= limits.Age {
		force()
		return
	}
	timer = time.AfterFunc(limits.Age-time.Since(since), expire)
}

// Hold calls release now if no thread is isolated, and returns its error; else when none
// is, or when a limit is passed, and an error goes to failed, which is called under a lock.
func Hold(addr uintptr, bytes int, release func() error, failed func(error)) error {
	if outside() == 0 { // a look first: who waits to go out must not be made to wait by this one
		if done, err := releaseNow(release); done {
			return err
		}
	}
	unmapping.Lock()
	defer unmapping.Unlock()
	for _, h := range waiting {
		if addr != 0 && h.addr == addr {
			return fmt.Errorf("%w: the mapping of %d bytes at %#x waits already", ErrTwice, h.bytes, addr)
		}
	}
	if len(waiting) == 0 {
		since = time.Now()
		timer = time.AfterFunc(limits.Age, expire)
	}
	waiting = append(waiting, held{addr, bytes, release, failed})
	bytesHeld += bytes
	counts.Held++
	if bytesHeld > limits.Bytes {
		force()
	} else {
		settle()
	}
	return nil
}

// releaseNow calls release if nobody is isolated.
func releaseNow(release func() error) (done bool, err error) {
	releasing.Add(1) // R
	defer releasing.Add(-1)
	if outside() > 0 {
		return false, nil
	}
	return true, release()
}

// settle makes sure that somebody who is isolated will release what waits on the way back; if
// nobody is, it releases it. unmapping is held.
//
// Asking comes first, and is a compare-and-swap: a word that refuses the work is one that was
// in Kernel, and a thread that has taken it will be here. Only when all have refused is
// releasing raised, so a thread that goes out waits for a release that was under way, and
// never for one that begins after it. Somebody who goes out in between is found by the
// look, and asked in the next round. (internal/sim, unmap.go, has a mutant for each step.)
func settle() {
	for len(waiting) > 0 {
		if len(Defer(tracking.Unmap, nil)) > 0 {
			return
		}
		if done, _ := releaseNow(release); done {
			counts.Released += uint64(len(waiting))
			clearWaiting()
		}
	}
}

// settleOwed is settle for a thread that has come back.
func settleOwed() {
	unmapping.Lock()
	defer unmapping.Unlock()
	settle()
}

// outside returns how many threads would be disturbed.
func outside() (n int) {
	for _, cpu := range actives() {
		if contexts[cpu].State() != tracking.Kernel { // R
			n++
		}
	}
	return n
}

// expire is called when the oldest has waited for too long.
func expire() {
	unmapping.Lock()
	defer unmapping.Unlock()
	if len(waiting) > 0 && time.Since(since) >= limits.Age {
		force()
	}
}

// force releases what waits, whoever is isolated.
func force() {
	counts.Forced += uint64(len(waiting))
	counts.Interrupts += uint64(len(waiting) * outside())
	_ = release()
	clearWaiting()
}

// release removes all that waits; who let it wait hears of errors.
func release() error {
	for _, h := range waiting {
		if err := h.release(); err != nil {
			counts.Failed++
			h.failed(err)
		}
	}
	return nil
}

func clearWaiting() {
	clear(waiting)
	waiting, bytesHeld = waiting[:0], 0
	if cap(waiting) > waitingKept {
		waiting = slices.Clip(waiting[:0:0])
	}
	stopTimer()
}

const waitingKept = 4096

func stopTimer() {
	if timer != nil {
		timer.Stop()
		timer = nil
	}
}

// UnmapCounts returns the counts.
func UnmapCounts() Unmaps {
	unmapping.Lock()
	defer unmapping.Unlock()
	c := counts
	c.Waiting, c.WaitingBytes = len(waiting), bytesHeld
	return c
}
