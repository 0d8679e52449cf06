package ipitracefs

import (
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// spin keeps a CPU busy in user mode, and returns the number of the thread and how to end it.
func spin(t *testing.T, cpu int) (tid int32, stop func()) {
	t.Helper()
	var end atomic.Bool
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread keeps its CPU
		tid = int32(unix.Gettid())
		ready <- affinity.Pin(cpu)
		for !end.Load() {
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return tid, func() { end.Store(true); <-done }
}

// spinAlone keeps a CPU busy by another process, and returns its number. The runtime of this one has signals
// for the threads of its own.
func spinAlone(t *testing.T, cpu int) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(cmd.Process.Pid, &set); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // its start is over
	return cmd.Process.Pid
}

// TestSpin: a process that makes no system call sends nothing, whatever timers of its CPU send. The flags of
// each record say so, which NoCost does not change.
func TestSpin(t *testing.T) {
	const n = 200
	release, err := ipidrive.Lock(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	pid := spinAlone(t, sender)
	for _, noCost := range []bool{true, false} {
		all := open(t, ipitrace.Options{NoCost: noCost})
		only := open(t, ipitrace.Options{NoCost: noCost, TGIDs: []int32{int32(pid)}})
		wakeByTimers(t, n)
		if s := closed(t, only); len(s.Rows) != 0 {
			t.Errorf("NoCost %v: the process sends nothing, got %+v", noCost, s.Rows)
		}
		s := closed(t, all)
		timers := sum(t, s, func(r *ipi.Row) bool { return r.Origin.Path == "timer" && r.Sender == ipi.Sender{} })
		blamed := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid })
		if timers.IPIs < n/4 || blamed.IPIs != 0 {
			t.Errorf("NoCost %v: timers %d, the process %d, want up to %d and none", noCost, timers.IPIs, blamed.IPIs, n)
		}
	}
}

// wakeByTimers lets timers of the sender's CPU wake a thread on the victim so many times.
func wakeByTimers(t *testing.T, n int) {
	t.Helper()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ready, woken := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // for good: the thread keeps its CPU
		ready <- affinity.Pin(victim)
		var ticks uint64
		for range n {
			for {
				_, _, errno := unix.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&ticks)), unsafe.Sizeof(ticks))
				if errno != unix.EINTR {
					break
				}
			}
			woken <- struct{}{}
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := affinity.Pin(sender)
		for i := 0; i < n && err == nil; i++ {
			soon := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(time.Millisecond))}
			err = unix.TimerfdSettime(fd, 0, &soon, nil)
			<-woken
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
