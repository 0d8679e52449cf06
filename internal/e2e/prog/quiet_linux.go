package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

func init() { programs["quiet"] = quiet }

// quietReport is what `prog quiet` prints: interrupts of the isolated CPU, in each round.
type quietReport struct {
	Flips       int              `json:"flips"` // in each round
	Idle        []quietCount     `json:"idle"`  // nobody flips, for as long as it took before
	Deferred    []quietCount     `json:"deferred"`
	NotDeferred []quietCount     `json:"not_deferred"`
	Violations  uint64           `json:"violations"`
	Why         string           `json:"why"`
	Status      quietpatch.State `json:"status"`
}

// quietCount is function calls and TLB shootdowns, and how much of the time the isolated thread
// ran: a CPU that runs another process gets no interrupt for this one.
type quietCount struct {
	Calls int     `json:"calls"`
	TLB   int     `json:"tlb"`
	Share float64 `json:"share"`
}

// interruptsOf reads the rows of /proc/interrupts for one CPU.
func interruptsOf(cpu int) (c quietCount, err error) {
	b, err := os.ReadFile("/proc/interrupts")
	if err != nil {
		return c, err
	}
	lines := strings.Split(string(b), "\n")
	column := slices.Index(strings.Fields(lines[0]), fmt.Sprint("CPU", cpu))
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if column < 0 || len(f) < column+2 {
			continue
		}
		n, _ := strconv.Atoi(f[column+1])
		switch f[0] {
		case "CAL:":
			c.Calls = n
		case "TLB:":
			c.TLB = n
		}
	}
	return c, nil
}

// quietest is a spinning thread that others ask to be in USER or in KERNEL.
type quietest struct {
	cpu    int
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

func quiet(args []string) (any, error) {
	q := &quietest{}
	fs := flags("quiet")
	rounds := fs.Int("rounds", 20, "rounds of flips")
	fs.IntVar(&q.r.Flips, "flips", 100, "in each round")
	strategy := fs.String("strategy", "store", "store or int3")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := errors.Join(configure(*strategy, ""), armAll()); err != nil {
		return nil, err
	}
	var err error
	if q.cpu, err = reserveLast(); err != nil {
		return nil, err
	}
	ended := make(chan error)
	q.wanted.Store(quietUser)
	go func() {
		ended <- isolate.Run(isolate.Options{CPU: q.cpu, BlockSignals: true}, q.spin)
	}()
	err = q.measure(*rounds, ended)
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

// during counts the interrupts while f runs.
func (q *quietest) during(f func() error) (quietCount, error) {
	before, err1 := interruptsOf(q.cpu)
	ran, err2 := q.cpuTime()
	start := time.Now()
	err3 := f()
	took := time.Since(start)
	ranNow, err4 := q.cpuTime()
	after, err5 := interruptsOf(q.cpu)
	return quietCount{
		after.Calls - before.Calls, after.TLB - before.TLB, float64(ranNow-ran) / float64(took),
	}, errors.Join(err1, err2, err3, err4, err5)
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

// quietShare is how much of the time the isolated thread has to run for a round to count.
const quietShare = 0.2

// measure makes rounds: flips while the thread is in USER, nothing for as long, flips while it
// is in KERNEL.
func (q *quietest) measure(rounds int, ended chan error) error {
	if err := errors.Join(q.in(quietUser, ended), q.flip()); err != nil { // warm
		return err
	}
	q.r.Why = isolate.Status().Why
	for end := time.Now().Add(isolatedPatience); len(q.r.Deferred) < rounds; {
		var took time.Duration
		deferred, err := q.during(func() error {
			start := time.Now()
			defer func() { took = time.Since(start) }()
			return q.flip()
		})
		if err != nil {
			return err
		}
		idle, err := q.during(func() error { time.Sleep(took); return nil })
		if err != nil {
			return err
		}
		if err := q.in(quietKernel, ended); err != nil {
			return err
		}
		not, err := q.during(q.flip)
		if err := errors.Join(err, q.in(quietUser, ended)); err != nil {
			return err
		}
		if min(deferred.Share, idle.Share, not.Share) < quietShare && time.Now().Before(end) {
			continue // others had the CPU
		}
		q.r.Deferred, q.r.Idle, q.r.NotDeferred = append(q.r.Deferred, deferred), append(q.r.Idle, idle), append(q.r.NotDeferred, not)
	}
	q.r.Violations = threadOn(q.cpu).Violations
	q.r.Status = quietpatch.Status()
	return nil
}
