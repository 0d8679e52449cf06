//go:build linux && amd64

package barrier_test

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/internal/barrier"
)

// onCPU runs f on one CPU.
func onCPU(t testing.TB, cpu int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Skipf("needs CPU %d: %v", cpu, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	f()
}

// TestCPU compares the segment's limit with the kernel's own word.
func TestCPU(t *testing.T) {
	for cpu := range runtime.NumCPU() {
		onCPU(t, cpu, func() {
			if got := barrier.CPU(); got != cpu {
				t.Errorf("on CPU %d the segment says %d", cpu, got)
			}
		})
	}
}

func perCPU(t testing.TB) {
	t.Helper()
	live(t)
	if err := barrier.RegisterPerCPU(runtime.NumCPU()); err != nil {
		t.Skip("needs membarrier RSEQ by CPU: ", err)
	}
}

// TestPerCPUError: there is one as long as CPUs cannot be synced one by one.
func TestPerCPUError(t *testing.T) {
	if err := barrier.PerCPUError(); (err == nil) != barrier.HavePerCPU() || err != nil && !errors.Is(err, barrier.ErrPerCPU) {
		t.Errorf("before: %v", err)
	}
	perCPU(t)
	if err := barrier.PerCPUError(); err != nil || !barrier.HavePerCPU() {
		t.Errorf("registered: %v", err)
	}
}

func TestSyncExcept(t *testing.T) {
	perCPU(t)
	onCPU(t, 0, func() {
		before, syncs := barrier.PerCPUCounts(), barrier.Syncs()
		left := 0
		for range 1000 {
			ok, err := barrier.SyncExcept([]int{runtime.NumCPU() - 1})
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				left++
			}
		}
		now := barrier.PerCPUCounts()
		if runtime.NumCPU() > 1 && left < 500 {
			t.Errorf("the last CPU was left out %d times of 1000", left)
		}
		if int(now.Syncs-before.Syncs) != left || int(now.Unspared-before.Unspared) != 1000-left || barrier.Syncs()-syncs != 1000 {
			t.Errorf("left out %d times; counts went from %+v to %+v, syncs by %d", left, before, now, barrier.Syncs()-syncs)
		}
	})
}

// TestSyncExceptSelf: who asks to spare the CPU on which it runs gets a sync of all.
func TestSyncExceptSelf(t *testing.T) {
	perCPU(t)
	onCPU(t, 0, func() {
		if left, err := barrier.SyncExcept([]int{0}); left || err != nil {
			t.Errorf("left out its own CPU: %v, %v", left, err)
		}
	})
}

func BenchmarkSyncExcept(b *testing.B) {
	perCPU(b)
	spared := []int{runtime.NumCPU() - 1}
	onCPU(b, 0, func() {
		for b.Loop() {
			_, _ = barrier.SyncExcept(spared)
		}
	})
}

func BenchmarkCPU(b *testing.B) {
	for b.Loop() {
		barrier.CPU()
	}
}
