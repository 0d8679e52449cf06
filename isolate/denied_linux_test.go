package isolate_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

func init() {
	scenarios["kept"] = scenarioKept
	scenarios["denied"] = scenarioDenied
	scenarios["refused"] = scenarioPerCPURefused
}

func TestDenied(t *testing.T)        { scenario(t, nil, "denied") }
func TestPerCPURefused(t *testing.T) { scenario(t, nil, "refused") }

// TestReleaseFails, and TestReleaseFailsWatch waits for the watch, too.
func TestReleaseFails(t *testing.T) { scenario(t, nil, "kept") }

func TestReleaseFailsWatch(t *testing.T) {
	t.Parallel() // it sleeps most of the time
	if testing.Short() {
		t.Skip("short: sleeps for a second")
	}
	scenario(t, nil, "kept", "watch")
}

// forbid makes a system call with this first argument, or any, fail with EPERM: on the calling
// thread, or with SECCOMP_FILTER_FLAG_TSYNC on all.
func forbid(call uint32, first int, flags uintptr) {
	prog := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: call},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // its args[0], the lower half
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(first)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if first == whatever {
		prog[3] = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: 0}
	}
	must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	p := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&p))); errno != 0 {
		skip(fmt.Sprint("needs seccomp: ", errno))
	}
}

const whatever = -1

// scenarioKept: a Release that fails halfway leaves everything as it was.
func scenarioKept(c *child) {
	r := c.reserve()
	must(owedKey.Set(true))
	stop := make(chan struct{})
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) { <-stop })
	onThread()
	last := onThread() // the others have come back when it is refused
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the filter stays
		forbid(unix.SYS_SCHED_SETAFFINITY, last, 0)
		failed <- r.Release()
	}()
	wantError(<-failed, unix.EPERM, "stay reserved", fmt.Sprint(last))
	t := c.thread()
	for tid := range threadNames() {
		if set := cpusOf(tid); set.IsSet(c.cpu) != (tid == t.TID) {
			fail("thread %d may run on %+v; isolated on CPU %d is thread %d", tid, set, c.cpu, t.TID)
		}
	}
	must(owedKey.Set(false))
	spared, why := spares()
	if now := c.thread(); t.Shared || spared && now.Deferred == t.Deferred {
		fail("the CPU is still reserved, but not spared (%s): %+v became %+v by a flip", why, t, now)
	}
	if s := isolate.Status(); s.Strays != 0 || len(problems()) > 0 {
		fail("%d strays, problems %q", s.Strays, problems())
	}
	if len(c.args) > 0 {
		var set unix.CPUSet
		set.Set(c.cpu)
		must(unix.SchedSetaffinity(last, &set))
		until(func() bool { return isolate.Status().Strays == 1 })
	}
	must(r.Release())
	r.Sweep()
	if !c.thread().Shared {
		fail("the CPU is released, but spared: %+v", c.thread())
	}
	close(stop)
	<-ended
	for tid := range threadNames() {
		if set := cpusOf(tid); len(c.args) == 0 && set.Count() != len(c.allowed) {
			fail("after Release thread %d may run on %+v", tid, set)
		}
	}
}

// scenarioDenied: who cannot be moved is not isolated, and Status tells of no thread.
func scenarioDenied(c *child) {
	must(owedKey.Set(true))
	forbid(unix.SYS_SCHED_SETAFFINITY, whatever, unix.SECCOMP_FILTER_FLAG_TSYNC)
	if _, err := isolate.Reserve(fmt.Sprint(c.cpu)); err == nil {
		fail("reserved, although no thread can be moved")
	}
	err := isolate.Run(isolate.Options{CPU: c.cpu}, func(*isolate.Thread) { fail("the function was called") })
	wantError(err, unix.EPERM, fmt.Sprint("CPU ", c.cpu))
	if s := isolate.Status(); len(s.Threads) > 0 || s.Why != "" || s.Assurance != "" {
		fail("nobody was isolated: %+v", s)
	}
}

// scenarioPerCPURefused: the kernel has syncs by CPU, and a filter refuses them.
func scenarioPerCPURefused(c *child) {
	must(owedKey.Set(true))
	if mode := quietpatch.Status().Mode; mode != "live" {
		skip("needs patched text, mode is " + mode)
	}
	c.reserve()
	const registerRSEQ = 1 << 8 // MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ
	forbid(unix.SYS_MEMBARRIER, registerRSEQ, unix.SECCOMP_FILTER_FLAG_TSYNC)
	refused := func(what string) {
		_, why := spares()
		if !strings.Contains(why, "REGISTER_PRIVATE_EXPEDITED_RSEQ") || !strings.Contains(why, unix.EPERM.Error()) || strings.Contains(why, "5.10") {
			fail("%s: the filter refuses syncs by CPU, and Status says %q", what, why)
		}
	}
	c.run(isolate.Options{}, func(*isolate.Thread) { refused("isolated") })
	refused("was isolated")
	if t := c.thread(); t.CPU != c.cpu || t.TID != 0 || t.State != "KERNEL" {
		fail("the last thread on CPU %d is %+v", c.cpu, t)
	}
}
