//go:build linux && amd64

package isolated

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch/isolate"
	"golang.org/x/sys/unix"
)

const (
	// chunkTime is how long the thread reads the counter before it lets Go stop it: a
	// garbage collection makes the whole program wait for that long.
	chunkTime = 100 * time.Microsecond
	// stopTime is more than Safepoint takes if Go does not stop the thread, and less than
	// it takes to put the thread to sleep and wake it up.
	stopTime = 1 * time.Microsecond
)

// What the thread does with the gaps it sees.
const (
	settling int32 = iota // nothing
	recording
	stopped // it leaves
)

// A watch is the thread's loop in one phase. The run sets told; all else is the thread's
// until it has left.
type watch struct {
	told, done  atomic.Int32
	chunk, stop uint64 // ticks
	rest        histogram
	gaps        histogram
	stops       int
	longestStop uint64 // ticks
	stoppedFor  uint64 // ticks, in all
	from, to    usage
	err         error
}

func newWatch(ticksPerNS float64) *watch {
	return &watch{
		chunk: uint64(ticksPerNS * float64(chunkTime)),
		stop:  uint64(ticksPerNS * float64(stopTime)),
	}
}

// loop watches until it is told to leave. The time in Safepoint is not watched: it is
// counted apart.
func (w *watch) loop(t *isolate.Thread) {
	into := &w.rest
	last := ticks()
	for {
		if told := w.told.Load(); told != w.done.Load() {
			into = w.turn(told)
			w.done.Store(told)
			if told == stopped {
				return
			}
			last = ticks()
		}
		// Without a Go call in between: where a Go function begins, Go may stop the thread.
		var end uint64
		end, into.max = spin(&into.counts, last, last+w.chunk, into.max)
		t.Safepoint()
		last = ticks()
		if took := last - end; took > w.stop && into == &w.gaps {
			w.stops++
			w.stoppedFor += took
			w.longestStop = max(w.longestStop, took)
		}
	}
}

// turn takes notice of what the thread is told, and returns where gaps go from now on.
func (w *watch) turn(told int32) *histogram {
	at, err := used()
	w.err = errors.Join(w.err, err)
	if told == recording {
		w.from = at
		return &w.gaps
	}
	w.to = at
	return &w.rest
}

// usage is what the kernel knows of a thread.
type usage struct {
	slept     int64         // times it slept
	preempted int64         // times it had to leave its CPU to another one
	cpu       time.Duration // that it has had
}

// used returns the usage of the calling thread.
func used() (usage, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return usage{}, fmt.Errorf("getrusage(RUSAGE_THREAD): %w", err)
	}
	return usage{slept: u.Nvcsw, preempted: u.Nivcsw, cpu: time.Duration(u.Utime.Nano() + u.Stime.Nano())}, nil
}

// tell returns when the thread has taken notice.
func (w *watch) tell(what int32) {
	w.told.Store(what)
	for w.done.Load() != what {
		time.Sleep(chunkTime)
	}
}
