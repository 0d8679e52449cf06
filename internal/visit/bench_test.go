//go:build linux && amd64 && !race

package visit

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkRound has threads that wait, and one that runs.
func BenchmarkRound(b *testing.B) {
	for _, threads := range []int{10, 100, 1000} {
		for _, running := range []int{0, 1} {
			b.Run(fmt.Sprintf("threads=%d/running=%d", threads, running), func(b *testing.B) {
				benchmarkRound(b, threads, running)
			})
		}
	}
}

func benchmarkRound(b *testing.B, threads, running int) {
	twoThreads(b)
	sc := scene(b, page(b))
	var stop atomic.Bool
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		b.Fatal(err)
	}
	ended := make(chan bool)
	for range threads {
		go func() {
			runtime.LockOSThread() // ends with the goroutine
			_, _ = unix.Read(fds[0], make([]byte, 1))
			ended <- true
		}()
	}
	for range running {
		go func() {
			for !stop.Load() {
			}
			ended <- true
		}()
	}
	mustBeOver(b, sc)
	before, failed := Signals(), 0
	cpu := cpuTime()
	for b.Loop() {
		if Round(sc) != nil {
			failed++
		}
	}
	if running == 0 {
		b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	}
	b.ReportMetric(float64(Signals()-before)/float64(b.N), "signals/op")
	b.ReportMetric(float64(failed)/float64(b.N), "unseen/op")
	stop.Store(true)
	_ = unix.Close(fds[1])
	for range threads + running {
		<-ended
	}
	_ = unix.Close(fds[0])
}

func cpuTime() int64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
