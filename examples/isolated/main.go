// Isolated polls a ring of packets on a CPU of its own, while the rest of the program
// flips a key, allocates and collects garbage. The poll loop is Go code that lets Go stop it
// every few microseconds: recipe C of docs/ISOLATION.md. It ends by itself and says what happened.
//
//	go run ./examples/isolated
//	go run ./examples/isolated -for 10s -cpu 3
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

var trace statickey.Bool

var _ = statickey.Register(&trace, "ring.trace", "count packets that were seen while it is on")

const (
	round = 1024                   // polls between two looks at the clock: some microseconds
	long  = 100 * time.Microsecond // a round that was interrupted
)

// loop is what the isolated thread does and counts.
type loop struct {
	ring ring
	stop atomic.Bool

	rounds, longRounds    uint64
	longest               time.Duration
	packets, lost, traced uint64
	next                  uint64 // number of the packet that has to come
}

// run polls until stop. It runs in isolation: no key, no static call, no channel, no
// allocation; atomics and its own memory only.
func (l *loop) run(t *isolate.Thread) {
	var batch [64]packet
	start, last := time.Now(), time.Duration(0)
	for !l.stop.Load() {
		for range round {
			if n := l.ring.take(batch[:]); n > 0 {
				t.Kernel(func() { l.handle(batch[:n]) })
			}
		}
		t.Safepoint() // if Go wants to collect garbage, everybody waits for this
		now := time.Since(start)
		l.rounds++
		if now-last > long {
			l.longRounds++
		}
		l.longest = max(l.longest, now-last)
		last = now
	}
}

// handle is ordinary code: it may check keys, call what it likes, allocate, block.
func (l *loop) handle(ps []packet) {
	for _, p := range ps {
		if p.number != l.next {
			l.lost++
		}
		l.next = p.number + 1
		l.packets++
		if trace.Enabled() {
			l.traced++
		}
	}
}

// busy is what the rest of the program does meanwhile. It returns the number of flips.
func busy(length time.Duration) (flips int, err error) {
	for start := time.Now(); time.Since(start) < length; time.Sleep(time.Millisecond) {
		if err := trace.Set(flips%2 == 0); err != nil { // if it is nil, the next check there sees it
			return flips, err
		}
		flips++
		runtime.KeepAlive(make([]byte, 1<<20)) // garbage
	}
	return flips, nil
}

// produce sends packets in bursts.
func (l *loop) produce() {
	for number := uint64(0); !l.stop.Load(); time.Sleep(200 * time.Microsecond) {
		for range 100 {
			if l.ring.put(packet{number: number}) {
				number++
			}
		}
	}
}

func run(cpu int, length time.Duration, out io.Writer) error {
	// The first flip of a key finds its checks and changes mappings: not during the run.
	if err := errors.Join(quietpatch.Arm(), trace.Set(true), trace.Set(false)); err != nil {
		fmt.Fprintln(out, "keys are read from memory:", err)
	}
	reservation, err := isolate.Reserve(strconv.Itoa(cpu))
	if err != nil {
		return err
	}
	l := new(loop)
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- isolate.Run(isolate.Options{CPU: cpu, BlockSignals: true}, func(t *isolate.Thread) {
			t.Kernel(func() { close(begun) })
			l.run(t)
		})
	}()
	select {
	case <-begun:
	case err := <-ended:
		return errors.Join(err, reservation.Release())
	}
	var wg sync.WaitGroup
	wg.Go(l.produce)
	flips, err := busy(length)
	s := isolate.Status()
	l.stop.Store(true)
	wg.Wait()
	if err := errors.Join(err, <-ended, reservation.Release()); err != nil {
		return err
	}
	l.report(out, flips, s)
	return nil
}

func (l *loop) report(out io.Writer, flips int, s isolate.State) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(out, "%d polls, %d packets, %d of them out of order, %d traced\n", l.rounds*round, l.packets, l.lost, l.traced)
	fmt.Fprintf(out, "longest of %d rounds: %v; %d took longer than %v (%d collections)\n", l.rounds, l.longest, l.longRounds, long, m.NumGC)
	fmt.Fprintf(out, "%d flips of the key, mode %s\n", flips, quietpatch.Status().Mode)
	if s.Why != "" {
		fmt.Fprintf(out, "nobody was spared: %s\n", s.Why)
	}
	for _, t := range s.Threads {
		fmt.Fprintf(out, "CPU %d: %d syncs deferred, made up for %d times, %d violations\n", t.CPU, t.Deferred, t.CatchUps, t.Violations)
		if t.Violated != "" {
			fmt.Fprintln(out, "the last one at", t.Violated)
		}
	}
}

// lastCPU returns the last CPU that was isolated when the system was booted (isolcpus), or else
// the last one that the process may run on.
func lastCPU() (int, error) {
	if b, err := os.ReadFile("/sys/devices/system/cpu/isolated"); err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return last(strings.TrimSpace(string(b)))
	}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("threads are isolated on linux only: %w", err)
	}
	_, list, _ := strings.Cut(string(b), "Cpus_allowed_list:")
	list, _, _ = strings.Cut(strings.TrimSpace(list), "\n")
	if !strings.ContainsAny(list, ",-") {
		return 0, fmt.Errorf("two CPUs are needed, one for the poll loop and one for the rest; this process may run on CPU %s only", list)
	}
	return last(list)
}

// last returns the last CPU of a list such as 0-3,6.
func last(list string) (int, error) {
	return strconv.Atoi(list[strings.LastIndexAny(list, ",-")+1:])
}

func main() {
	cpu := flag.Int("cpu", -1, "the CPU to isolate; -1: choose")
	length := flag.Duration("for", 2*time.Second, "how long")
	flag.Parse()
	var err error
	if *cpu < 0 {
		*cpu, err = lastCPU()
	}
	if err == nil {
		err = run(*cpu, *length, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
