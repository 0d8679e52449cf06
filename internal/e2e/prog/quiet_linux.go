package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

func init() { programs["quiet"] = quiet }

// quietReport is what `prog quiet` prints.
type quietReport struct {
	CPU        int              `json:"cpu"` // of the isolated thread
	Flips      int              `json:"flips"`
	Share      float64          `json:"share"` // of the time that the isolated thread ran
	Violations uint64           `json:"violations"`
	Why        string           `json:"why"`
	Status     quietpatch.State `json:"status"`
}

// quietest is a spinning thread that others ask to be in USER or in KERNEL.
type quietest struct {
	wanted atomic.Int32
	is     atomic.Int32
	tid    atomic.Int32
	on     bool
	r      quietReport
}

const (
	quietUser = iota + 1
	quietKernel
	quietEnd
)

// quiet flips a key while a thread is isolated. Who watches the process sees what the flips
// send to the thread's CPU.
func quiet(args []string) (any, error) {
	q := &quietest{}
	fs := flags("quiet")
	fs.IntVar(&q.r.Flips, "flips", 1000, "how often")
	kernel := fs.Bool("kernel", false, "the thread is in KERNEL")
	strategy := fs.String("strategy", "store", "store or int3")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := errors.Join(configure(*strategy, ""), armAll()); err != nil {
		return nil, err
	}
	var err error
	if q.r.CPU, err = reserveLast(); err != nil {
		return nil, err
	}
	ended := make(chan error)
	state := int32(quietUser)
	if *kernel {
		state = quietKernel
	}
	q.wanted.Store(state)
	go func() {
		ended <- isolate.Run(isolate.Options{CPU: q.r.CPU, BlockSignals: true}, q.spin)
	}()
	err = q.measure(state, ended)
	q.wanted.Store(quietEnd)
	return q.r, errors.Join(err, <-ended)
}

// spin is the isolated thread.
func (q *quietest) spin(t *isolate.Thread) {
	q.tid.Store(int32(unix.Gettid()))
	for {
		switch q.wanted.Load() {
		case quietUser:
			q.while(t, quietUser)
		case quietKernel:
			t.Kernel(func() { q.while(t, quietKernel) })
		default:
			return
		}
	}
}

func (q *quietest) while(t *isolate.Thread, state int32) {
	q.is.Store(state)
	for q.wanted.Load() == state {
		t.Safepoint()
	}
}

// in waits for the thread to be in a state.
func (q *quietest) in(state int32, ended chan error) error {
	q.wanted.Store(state)
	for q.is.Load() != state {
		select {
		case err := <-ended:
			ended <- nil
			return errors.Join(errors.New("the isolated thread has ended"), err)
		default:
			time.Sleep(10 * time.Microsecond)
		}
	}
	return nil
}

// cpuTime is how long the isolated thread has run.
func (q *quietest) cpuTime() (time.Duration, error) {
	const perThread, sched = 4, 2 // include/linux/posix-timers_types.h, CPUCLOCK_*
	var t unix.Timespec
	if err := unix.ClockGettime(^q.tid.Load()<<3|perThread|sched, &t); err != nil {
		return 0, fmt.Errorf("clock_gettime of thread %d: %w", q.tid.Load(), err)
	}
	return time.Duration(t.Nano()), nil
}

func (q *quietest) flip() error {
	for range q.r.Flips {
		q.on = !q.on
		if err := hammerKey.Set(q.on); err != nil {
			return err
		}
	}
	return nil
}

// measure flips while the thread is in a state.
func (q *quietest) measure(state int32, ended chan error) error {
	if err := q.in(state, ended); err != nil {
		return err
	}
	q.r.Why = isolate.Status().Why
	ran, err1 := q.cpuTime()
	start := time.Now()
	err2 := q.flip()
	took := time.Since(start)
	ranNow, err3 := q.cpuTime()
	q.r.Share = float64(ranNow-ran) / float64(took)
	q.r.Violations = threadOn(q.r.CPU).Violations
	q.r.Status = quietpatch.Status()
	return errors.Join(err1, err2, err3)
}
