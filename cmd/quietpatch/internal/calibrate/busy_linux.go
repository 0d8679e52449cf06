//go:build linux && amd64

package calibrate

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"golang.org/x/sys/unix"
)

// busyWarmUp lets the scheduler settle the thread on its CPU.
const busyWarmUp = 5 * time.Millisecond

// A busy thread does the same work again and again on one CPU.
type busy struct {
	tid    int
	stop   atomic.Bool
	passes atomic.Int64
	ended  chan struct{}
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
		err := affinity.Pin(cpu)
		ready <- err
		for err == nil && !b.stop.Load() {
			work()
			b.passes.Add(1)
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("pin a thread to CPU %d: %w", cpu, err)
	}
	time.Sleep(busyWarmUp)
	return b, nil
}

func (b *busy) end() {
	b.stop.Store(true)
	<-b.ended
}

// A mark is how far a thread was at some time.
type mark struct {
	at     time.Time
	cpu    time.Duration // that the thread has had
	passes int64
}

func (b *busy) mark() (mark, error) {
	at := time.Now()
	cpu, err := cpuTime(b.tid)
	return mark{at: at, cpu: cpu, passes: b.passes.Load()}, err
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

// since returns the share of the time that the thread had its CPU, and its
// passes per second.
func (m mark) since(old mark) (share, rate float64) {
	elapsed := m.at.Sub(old.at)
	if elapsed <= 0 {
		return 0, 0
	}
	return float64(m.cpu-old.cpu) / float64(elapsed), float64(m.passes-old.passes) / elapsed.Seconds()
}

const (
	// restTime before each measurement lets the busy thread get back to work.
	restTime = 30 * time.Microsecond

	// busyEnough is the share of the time for which both threads must have had
	// their CPUs, or what was measured does not count.
	busyEnough = 0.9
)

// time returns how long f took on the calling thread, and whether that counts:
// other programs left both CPUs alone meanwhile.
func (b *busy) time(f func() error) (ns float64, counts bool, err error) {
	spin(restTime)
	before, err := b.mark()
	if err != nil {
		return 0, false, err
	}
	own, err := cpuTime(unix.Gettid())
	if err != nil {
		return 0, false, err
	}
	start := time.Now()
	if err := f(); err != nil {
		return 0, false, err
	}
	took := time.Since(start)
	ownAfter, err := cpuTime(unix.Gettid())
	if err != nil {
		return 0, false, err
	}
	after, err := b.mark()
	share, _ := after.since(before)
	return float64(took), share >= busyEnough && float64(ownAfter-own) >= busyEnough*float64(took), err
}
