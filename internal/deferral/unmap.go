package deferral

import (
	"errors"
	"fmt"
	"math"
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
	since   time.Time
	release func() error
	failed  func(error)
}

// ErrTwice: the mapping waits already.
var ErrTwice = errors.New("unmapped twice")

// What waits to be released, oldest first. Nothing is released under the lock: releases are
// the program's, and long.
var list = struct {
	sync.Mutex
	waiting []held
	addrs   map[uintptr]bool
	bytes   int
	timer   *time.Timer // runs while something waits
	limits  Limits
}{addrs: map[uintptr]bool{}, limits: Limits{Bytes: 64 << 20, Age: 10 * time.Second}}

// releasing counts releases that are under way because nobody is isolated.
//
// Barrier pair R: releaseNow counts it up and then reads the words; a thread that goes out
// changes its word and then reads it. Both are locked instructions, so either releaseNow sees
// the thread outside, or the thread sees the release.
var releasing atomic.Int32

// Counts.
var heldBack, released, forced, interrupts, failures, met atomic.Uint64

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
	Met          uint64 // threads that went out while a release was under way and did not wait for its end
}

// SetLimits changes the limits; what is beyond the new ones is released.
func SetLimits(l Limits) {
	list.Lock()
	list.limits = l
	if list.timer != nil {
		list.timer.Reset(max(0, l.Age-time.Since(list.waiting[0].since)))
	}
	beyond := takeBeyond()
	list.Unlock()
	force(beyond)
}

// takeBeyond takes the whole list if it is too much, or its oldest has waited for too long.
// The lock is held: what is found beyond the limits, and nothing that comes later, is forced.
func takeBeyond() []held {
	if len(list.waiting) > 0 && (list.bytes > list.limits.Bytes || time.Since(list.waiting[0].since) >= list.limits.Age) {
		return take(len(list.waiting))
	}
	return nil
}

// Hold calls release now if no thread is isolated, and returns its error; else when none
// is, or when a limit is passed, and an error goes to failed.
func Hold(addr uintptr, bytes int, release func() error, failed func(error)) error {
	if outside() == 0 { // a look first: who waits to go out must not be made to wait by this one
		if done, err := releaseNow(release); done {
			return err
		}
	}
	beyond, err := put(held{addr, bytes, time.Now(), release, failed})
	if err != nil {
		return err
	}
	force(beyond)
	settle(math.MaxInt, lock)
	return nil
}

// put adds to the list, and takes all of it if that is too much.
func put(h held) (beyond []held, err error) {
	list.Lock()
	defer list.Unlock()
	if h.addr != 0 && list.addrs[h.addr] {
		return nil, fmt.Errorf("%w: the mapping of %d bytes at %#x waits already", ErrTwice, h.bytes, h.addr)
	}
	if len(list.waiting) == 0 {
		list.timer = time.AfterFunc(list.limits.Age, expire)
	}
	list.waiting = append(list.waiting, h)
	list.addrs[h.addr] = true
	list.bytes += h.bytes
	heldBack.Add(1)
	return takeBeyond(), nil
}

// take removes the oldest n from the list. The lock is held.
func take(n int) []held {
	n = min(n, len(list.waiting))
	out := slices.Clone(list.waiting[:n])
	for _, h := range out {
		delete(list.addrs, h.addr)
		list.bytes -= h.bytes
	}
	clear(list.waiting[:n])
	list.waiting = list.waiting[n:] // append moves what is left when the room is used up
	if len(list.waiting) == 0 {
		if list.timer != nil {
			list.timer.Stop()
			list.timer = nil
		}
		list.waiting = nil
	}
	return out
}

// settle makes sure that somebody who is isolated will release what waits on the way back; if
// nobody is, it releases the oldest n. It reports whether it has left something that nobody
// has taken over.
//
// Asking comes first, and is a compare-and-swap: a word that refuses the work is one that was
// in Kernel, and a thread that has taken it will be here. Only when all have refused is
// releasing raised, so a thread that goes out waits for a release that was under way, and
// never for one that begins after it. Somebody who goes out in between is found by the
// look, and asked in the next round. (internal/sim, unmap.go, has a mutant for each step.)
//
// R4 takes one mapping, so that who goes out meanwhile has little to wait for. lock takes the
// list's lock, or fails: then something may be left.
func settle(n int, lock func() bool) (left bool) {
	for {
		if !lock() {
			return true
		}
		empty := len(list.waiting) == 0
		list.Unlock()
		if empty || len(Defer(tracking.Unmap, nil)) > 0 { // R1
			return false
		}
		if n == 0 {
			return true
		}
		locked := true
		done, _ := releaseNow(func() error { // R2 and R3, at the end R5
			if locked = lock(); locked {
				some := take(1)
				list.Unlock()
				for _, h := range some {
					h.run() // R4
					released.Add(1)
				}
			}
			return nil
		})
		if !locked {
			return true
		}
		if done {
			n--
		}
	}
}

func lock() bool {
	list.Lock()
	return true
}

// perReturn is how many mappings a thread that comes back releases before it goes on, at
// most: a few microseconds each. The rest it finds the next time.
const perReturn = 4

// settleOwed is settle for a thread that has come back. It waits for no lock: if somebody
// has the list, or it is long, the thread keeps the bit and comes by again. So it does
// when a release that it makes goes out of Kernel and comes back.
func (c *Context) settleOwed() (left bool) {
	if c.settling {
		return true
	}
	c.settling = true
	defer func() { c.settling = false }()
	return settle(perReturn, list.TryLock)
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

// outside returns how many threads would be disturbed.
func outside() (n int) {
	for _, cpu := range actives() {
		if contexts[cpu].State() != tracking.Kernel { // R
			n++
		}
	}
	return n
}

// expire is called when the oldest has waited for long enough, or a little earlier.
func expire() {
	list.Lock()
	beyond := takeBeyond()
	if beyond == nil && len(list.waiting) > 0 {
		list.timer.Stop() // another one, if the list was empty meanwhile
		list.timer = time.AfterFunc(list.limits.Age-time.Since(list.waiting[0].since), expire)
	}
	list.Unlock()
	force(beyond)
}

// force releases what was beyond a limit: quietly if nobody is isolated, as settle does, else
// all the same.
//
// A release that ends the goroutine (runtime.Goexit) does not take the others with it.
func force(beyond []held) {
	i := 0
	defer func() { giveBack(beyond[i:]) }()
	for i < len(beyond) {
		h := beyond[i]
		i++
		run := func() error { h.run(); return nil }
		if outside() == 0 {
			if done, _ := releaseNow(run); done {
				released.Add(1)
				continue
			}
		}
		n := outside()
		h.run()
		forced.Add(1)
		interrupts.Add(uint64(n))
	}
}

// giveBack puts what was taken and not released in front of the list again.
func giveBack(some []held) {
	if len(some) == 0 {
		return
	}
	list.Lock()
	defer list.Unlock()
	if len(list.waiting) == 0 {
		list.timer = time.AfterFunc(list.limits.Age, expire)
	}
	list.waiting = append(some, list.waiting...)
	for _, h := range some {
		list.addrs[h.addr] = true
		list.bytes += h.bytes
	}
}

// run calls the release; who let it wait hears of an error.
func (h held) run() {
	if err := h.call(); err != nil {
		failures.Add(1)
		h.failed(err)
	}
}

// call keeps a panic of the program's function away from the thread that happens to call
// it. One that ends the goroutine cannot be kept away, but is told.
func (h held) call() (err error) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		} else if !returned {
			failures.Add(1)
			h.failed(errors.New("the function ended its goroutine (runtime.Goexit)"))
		}
	}()
	err = h.release()
	returned = true
	return err
}

// doorMax is how long a thread that goes out waits for a release: about what one munmap
// takes. Who releases may have lost its CPU, and a thread that is isolated is not to wait for that.
var doorMax = 10 * time.Microsecond

// waitForRelease waits until the releases have ended that are made because nobody was
// isolated. The thread is out already, and its isolation has not begun: it does not switch
// back and forth. It spins without a safe point, but not for long.
//
//go:noinline
func waitForRelease() {
	for start := time.Now(); releasing.Load() != 0; {
		if time.Since(start) > doorMax {
			met.Add(1)
			return
		}
	}
}

// UnmapCounts returns the counts.
func UnmapCounts() Unmaps {
	list.Lock()
	defer list.Unlock()
	return Unmaps{
		Waiting: len(list.waiting), WaitingBytes: list.bytes, Held: heldBack.Load(), Released: released.Load(),
		Forced: forced.Load(), Interrupts: interrupts.Load(), Failed: failures.Load(), Met: met.Load(),
	}
}
