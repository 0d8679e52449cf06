package prog

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// cpus are the CPU that flips and the busy one.
type cpus struct{ own, busy int }

// chooseCPUs takes the first and the last CPU that the process may run on.
func chooseCPUs() (cpus, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cpus{}, fmt.Errorf("read the CPUs of this process: %w", err)
	}
	c := cpus{own: -1}
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			if c.own < 0 {
				c.own = cpu
			}
			c.busy = cpu
		}
	}
	if c.own == c.busy {
		return c, fmt.Errorf("one CPU: there is no other one to keep busy; expected two or more")
	}
	return c, nil
}

func pinThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin a thread to CPU %d: %w", cpu, err)
	}
	return nil
}

// settle lets the scheduler put a thread on its CPU.
const settle = 5 * time.Millisecond

// A busy thread does the same work again and again on one CPU.
type busy struct {
	tid   int
	stop  atomic.Bool
	ended chan struct{}
}

// startBusy returns when the thread works. The thread ends with the goroutine,
// which stays locked to it.
func startBusy(cpu int, work func()) (*busy, error) {
	b := &busy{ended: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(b.ended)
		runtime.LockOSThread()
		b.tid = unix.Gettid()
		err := pinThread(cpu)
		ready <- err
		for err == nil && !b.stop.Load() {
			work()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	time.Sleep(settle)
	return b, nil
}

func (b *busy) end() {
	b.stop.Store(true)
	<-b.ended
}

// cpuTime returns the time that a thread of this process has had a CPU. The
// clock is named by the thread's number (CPUCLOCK_PERTHREAD_MASK |
// CPUCLOCK_SCHED, include/linux/posix-timers_types.h).
func cpuTime(tid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^tid<<3|6), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of thread %d: %w", tid, err)
	}
	return time.Duration(ts.Nano()), nil
}

const (
	// restTime before each measurement lets the busy thread get back to work.
	restTime = 30 * time.Microsecond
	// busyEnough is the share of the time for which both threads must have had
	// their CPUs, or what was measured does not count.
	busyEnough = 0.9
)

// spin waits without giving up the CPU.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// time returns how long f took on the calling thread, and whether that counts:
// other programs left both CPUs alone meanwhile. The CPU clocks are read around the
// wall clock, so that reading them does not count against the threads.
func (b *busy) time(f func() error) (ns float64, counts bool, err error) {
	spin(restTime)
	own := unix.Gettid()
	busyFrom, err1 := cpuTime(b.tid)
	ownFrom, err2 := cpuTime(own)
	start := time.Now()
	err = f()
	took := time.Since(start)
	ownTo, err3 := cpuTime(own)
	busyTo, err4 := cpuTime(b.tid)
	for _, e := range []error{err1, err2, err3, err4} {
		if err == nil {
			err = e
		}
	}
	least := time.Duration(busyEnough * float64(took))
	return float64(took), ownTo-ownFrom >= least && busyTo-busyFrom >= least, err
}
