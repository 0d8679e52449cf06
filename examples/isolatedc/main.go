//go:build cgo

// Isolatedc polls a ring of packets by C code on a CPU of its own: one cgo call that lasts for
// the whole run. Go's scheduler and collector leave such a thread alone (recipe A of docs/ISOLATION.md).
// For some packets C calls a Go function, which leaves isolation to check a key.
//
//	go run ./examples/isolatedc
//	go run ./examples/isolatedc -for 10s -cpu 3
package main

// #include <stdlib.h>
// #include "poll.h"
import "C"

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
	"unsafe"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

var trace statickey.Bool

var _ = statickey.Register(&trace, "ring.trace", "count control packets that were seen while it is on")

const long = 100 * time.Microsecond // a round of polls that was interrupted

// Written by the isolated thread only.
var controls, traced uint64

// goControl is called by C, in isolation. Before anything else it goes back: what control does
// is ordinary code, with keys.
//
//export goControl
func goControl(number C.uint64_t) {
	isolate.Kernel(func() { control(uint64(number)) })
}

func control(uint64) {
	controls++
	if trace.Enabled() {
		traced++
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
func produce(r *C.struct_ring, stop *atomic.Bool) {
	for number := C.uint64_t(0); !stop.Load(); time.Sleep(200 * time.Microsecond) {
		number += C.ring_put(r, number, 100)
	}
}

func run(cpu int, length time.Duration, out io.Writer) error {
	// The first flip of a key finds its checks and changes mappings: not during the run.
	if err := errors.Join(quietpatch.Arm(), trace.Set(true), trace.Set(false)); err != nil {
		fmt.Fprintln(out, "keys are read from memory:", err)
	}
	r := C.ring_new()
	if r == nil {
		return errors.New("no memory for the ring")
	}
	defer C.free(unsafe.Pointer(r))
	reservation, err := isolate.Reserve(strconv.Itoa(cpu))
	if err != nil {
		return err
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- isolate.Run(isolate.Options{CPU: cpu, BlockSignals: true}, func(t *isolate.Thread) {
			t.Kernel(func() { close(begun) })
			t.Guest(func() { C.ring_poll(r, C.uint64_t(long)) })
		})
	}()
	select {
	case <-begun:
	case err := <-ended:
		return errors.Join(err, reservation.Release())
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() { produce(r, &stop) })
	flips, err := busy(length)
	s := isolate.Status()
	stop.Store(true)
	C.ring_stop(r)
	wg.Wait()
	if err := errors.Join(err, <-ended, reservation.Release()); err != nil {
		return err
	}
	report(out, r, flips, s)
	return nil
}

func report(out io.Writer, r *C.struct_ring, flips int, s isolate.State) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(out, "%d polls at most, %d packets, %d of them out of order\n", r.rounds*C.ROUND, r.packets, r.lost)
	fmt.Fprintf(out, "%d of them shown to Go, %d of these traced\n", controls, traced)
	fmt.Fprintf(out, "longest of %d rounds: %v; %d took longer than %v (%d collections)\n",
		r.rounds, time.Duration(r.longest_ns), r.long_rounds, long, m.NumGC)
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
