package main

import (
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// startCheckers keeps every CPU busy with checks, on threads of their own.
func (h *nightly) startCheckers(wg *sync.WaitGroup) {
	n := runtime.NumCPU()
	runtime.GOMAXPROCS(2*n + 4)
	for range n {
		wg.Go(func() {
			runtime.LockOSThread()
			h.check()
		})
	}
}

// check makes rounds until the end, and says which words it has verified.
func (h *nightly) check() {
	var s scratch
	for {
		select {
		case <-h.done:
			return
		default:
		}
		c := &h.cells[h.inForce.Load()]
		var t roundTally
		for _, k := range nightKeys {
			if word, ok := h.round(c, &t, &s, k, false); ok {
				k.seen.Store(word)
			}
		}
		t.flush(h, c)
	}
}

// noises are what goes on in a program besides: each a step, and the longest
// pause behind it.
var noises = []struct {
	name  string
	pause time.Duration
	f     func(h *nightly, r *rand.Rand, s *scratch)
}{
	{"collections", 8 * time.Millisecond, func(*nightly, *rand.Rand, *scratch) {
		runtime.KeepAlive(make([]byte, 1<<18))
		runtime.GC()
	}},
	{"goroutines", 2 * time.Millisecond, comeAndGo},
	{"threads", 4 * time.Millisecond, endThread},
	{"panics and tracebacks", 2 * time.Millisecond, func(h *nightly, _ *rand.Rand, s *scratch) { h.roundAll(s, nightKeys, true) }},
	{"all stacks", 20 * time.Millisecond, func(*nightly, *rand.Rand, *scratch) { runtime.Stack(make([]byte, 1<<16), true) }},
	{"signals", time.Millisecond, signalThread},
	{"mappings", 2 * time.Millisecond, mapAndUnmap},
	{"processes", 30 * time.Millisecond, startProcess},
	{"hops", time.Millisecond, hop},
	{"GOMAXPROCS", 50 * time.Millisecond, func(_ *nightly, r *rand.Rand, _ *scratch) {
		n := runtime.NumCPU()
		runtime.GOMAXPROCS(n + 2 + r.IntN(n+3))
	}},
	{"profiles", 40 * time.Millisecond, profileForAWhile},
}

// startNoise starts one goroutine for each noise.
func (h *nightly) startNoise(wg *sync.WaitGroup) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	// There is no signal.Stop: one that is under way would end the process.
	wg.Go(func() {
		for {
			select {
			case <-signals:
			case <-h.done:
				return
			}
		}
	})
	for i, n := range noises {
		wg.Go(func() {
			r := h.rng(1000 + uint64(i))
			var s scratch
			for pause(r, n.pause, h.done) {
				n.f(h, r, &s)
				h.count(n.name)
			}
		})
	}
}

func (h *nightly) count(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noise[name]++
}

// comeAndGo starts goroutines that check on young stacks, which grow.
func comeAndGo(h *nightly, r *rand.Rand, _ *scratch) {
	var wg sync.WaitGroup
	for range 8 {
		depth := r.IntN(300)
		wg.Go(func() {
			var s scratch
			grow(depth)
			h.roundAll(&s, nightKeys, depth < 30)
		})
	}
	wg.Wait()
}

// endThread lets a thread end: the runtime ends those whose goroutine returns
// without UnlockOSThread.
func endThread(h *nightly, r *rand.Rand, _ *scratch) {
	done := make(chan struct{})
	rounds := 1 + r.IntN(200)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var s scratch
		for range rounds {
			h.roundAll(&s, nightKeys, false)
		}
	}()
	<-done
}

// signalThread interrupts any thread of the process: with SIGURG, by which the
// scheduler preempts, or with a signal that the program asked for.
func signalThread(_ *nightly, r *rand.Rand, _ *scratch) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for range 8 {
		tid, err := strconv.Atoi(tasks[r.IntN(len(tasks))].Name())
		if err != nil {
			continue
		}
		which := []unix.Signal{unix.SIGURG, unix.SIGURG, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH}
		_ = unix.Tgkill(unix.Getpid(), tid, which[r.IntN(len(which))]) // the thread may have ended
	}
}

// mapAndUnmap changes mappings: TLB flushes on all CPUs of the process.
func mapAndUnmap(h *nightly, r *rand.Rand, _ *scratch) {
	b, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		h.fail("mmap: %v", err)
		return
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = byte(r.Uint32())
	}
	if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
		h.fail("mprotect: %v", err)
	}
	if err := unix.Munmap(b); err != nil {
		h.fail("munmap: %v", err)
	}
}

func startProcess(h *nightly, _ *rand.Rand, _ *scratch) {
	if out, err := exec.Command("/bin/true").CombinedOutput(); err != nil {
		h.fail("a process: %v: %s", err, out)
	}
}

// hop moves a thread from CPU to CPU between checks, then gives its goroutine
// back with the CPUs that it had.
func hop(h *nightly, r *rand.Rand, s *scratch) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		h.fail("sched_getaffinity: %v", err)
		return
	}
	for range 20 {
		cpu := r.IntN(len(all) * 64)
		if n := all.Count(); n > 0 {
			cpu %= 2 * n // most hits, on machines that number their CPUs from 0
		}
		if !all.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		_ = unix.SchedSetaffinity(0, &one) // the CPU may be gone
		h.roundAll(s, nightKeys, false)
	}
	if err := unix.SchedSetaffinity(0, &all); err != nil {
		h.fail("sched_setaffinity: %v", err)
	}
}

// profileForAWhile takes SIGPROF on all threads, then not.
func profileForAWhile(h *nightly, r *rand.Rand, s *scratch) {
	if h.o.profiles != "" {
		return // the whole run is profiled
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		h.fail("profile: %v", err)
		return
	}
	defer pprof.StopCPUProfile()
	end := time.Now().Add(time.Duration(r.Int64N(int64(50 * time.Millisecond))))
	for time.Now().Before(end) {
		h.roundAll(s, nightKeys, false)
		runtime.Gosched()
	}
}
