package ipidrive

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
)

const (
	cpuMost  = 120                  // seconds, if the driver is stuck: nothing else ends a thread that spins
	waitMost = 5 * time.Second      // for a thread that was woken
	settle   = 2 * time.Millisecond // until a thread waits, or a kworker has done its work
)

// Priorities of SCHED_FIFO: the thread that waits is preferred to the one that spins.
const (
	prioSpin = 1 + iota
	prioWait
)

// stage is what a scenario has while it runs.
type stage struct {
	Job
	page  []byte
	fds   []int
	to    unix.Sockaddr
	futex uint32
	read  [8]byte
	text  []byte       // of /proc/interrupts
	spin  *spinner     // nil if the victim idles
	woken atomic.Int64 // times that the waiting thread woke up
	turns int64        // done
	// unflipped counts the waits for a key, one after the other, that were for nothing.
	unflipped int
	took      time.Duration
}

// missing is what the machine lacks. It is no failure.
type missing string

func (m missing) Error() string { return string(m) }

// run does a job in this process, on a locked thread.
func run(j Job) (Result, error) {
	sc, ok := Find(j.Scenario)
	if !ok || j.Victim == j.Sender {
		return Result{}, fmt.Errorf("scenario %q with sender %d and victim %d: expected one that exists and two CPUs", j.Scenario, j.Sender, j.Victim)
	}
	runtime.LockOSThread()
	r := Result{Job: j, PID: os.Getpid(), TID: unix.Gettid()}
	var err error
	s := &stage{Job: j}
	r.Received, err = perform(s, &sc)
	r.TookNS = int64(s.took)
	var m missing
	if errors.As(err, &m) {
		r.Missing, err = string(m), nil
	}
	return r, err
}

func perform(s *stage, sc *Scenario) (got Received, err error) {
	if err := affinity.Pin(s.Sender); err != nil {
		return got, fmt.Errorf("CPU %d: %w", s.Sender, err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: cpuMost, Max: cpuMost}); err != nil {
		return got, err
	}
	if !sc.idle {
		if s.spin, err = startSpinner(s.Victim); err != nil {
			return got, err
		}
		defer s.spin.stop.Store(1)
	}
	if sc.setup != nil {
		if err := sc.setup(s); err != nil {
			return got, err
		}
	}
	pause(10 * settle) // threads of the runtime look for work after the setup
	before := interrupts.Read()
	begin := time.Now()
	for range s.Turns {
		if err := sc.turn(s); err != nil {
			return got, err
		}
		s.turns++
	}
	s.took = time.Since(begin)
	if sc.after != nil {
		err = sc.after(s)
	}
	return receivedSince(before, s.Victim), err
}

// pause sleeps without the Go scheduler, which would wake other threads for the time.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

func receivedSince(before interrupts.Reading, cpu int) Received {
	now := interrupts.Read()
	d := now.IPIsSince(before, cpu)
	resched, _ := now.Since(before, interrupts.Reschedule, cpu)
	return Received{Calls: d.Call, Flushes: d.TLB, Rescheds: resched}
}

// spinner is a thread that has a CPU for itself. Neither it nor the one that waits may call a
// function that checks its stack: there the Go scheduler would take the goroutine off its thread
// after 10 ms, and wake the thread with an IPI.
type spinner struct {
	turns  atomic.Int64
	stop   atomic.Uint32
	failed chan error
}

// startSpinner returns when the thread spins.
func startSpinner(cpu int) (*spinner, error) {
	s := &spinner{failed: make(chan error, 1)}
	go s.spin(cpu)
	for begin := time.Now(); s.turns.Load() < 1000; time.Sleep(time.Millisecond) {
		select {
		case err := <-s.failed:
			return nil, err
		default:
		}
		if time.Since(begin) > waitMost {
			return nil, fmt.Errorf("the thread on CPU %d does not run", cpu)
		}
	}
	return s, nil
}

func (s *spinner) spin(cpu int) {
	if err := onCPU(cpu, prioSpin); err != nil {
		s.failed <- err
		return
	}
	spin(&s.turns, &s.stop)
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
}

// onCPU makes the goroutine's thread a real-time one on that CPU. The priority comes first: with
// an ordinary one the thread could wait there for ever.
func onCPU(cpu int, priority uint32) error {
	runtime.LockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("SCHED_FIFO: %w", err)
	}
	if err := affinity.Pin(cpu); err != nil {
		return fmt.Errorf("CPU %d: %w", cpu, err)
	}
	return nil
}

// waitOnVictim starts a thread on the victim that waits in a system call again and again: each time
// that it is woken, the victim has to be interrupted.
func (s *stage) waitOnVictim(trap, a1, a2, a3 uintptr) error {
	ready := make(chan error)
	go func() {
		err := onCPU(s.Victim, prioWait)
		ready <- err
		if err != nil {
			return
		}
		for {
			_, _, errno := unix.RawSyscall6(trap, a1, a2, a3, 0, 0, 0)
			if errno != 0 && errno != unix.EINTR {
				return // waitWoken finds out
			}
			s.woken.Add(1)
		}
	}()
	return <-ready
}

// waitWoken returns when the thread has been woken as often as there were turns, and waits
// again. If the spinner goes on after that, the thread waits, since it is preferred.
func (s *stage) waitWoken(meanwhile func()) error {
	end := time.Now().Add(waitMost)
	until := func(done func() bool) error {
		for ; !done(); meanwhile() {
			relax()
			if time.Now().After(end) {
				return fmt.Errorf("turn %d: the thread on CPU %d did not wake up and wait again", s.turns, s.Victim)
			}
		}
		return nil
	}
	if err := until(func() bool { return s.woken.Load() > s.turns }); err != nil {
		return err
	}
	if s.spin == nil {
		pause(settle)
		return nil
	}
	const some = 10
	spun := s.spin.turns.Load()
	return until(func() bool { return s.spin.turns.Load() > spun+some })
}
