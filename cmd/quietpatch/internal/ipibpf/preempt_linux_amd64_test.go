package ipibpf

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// TestPreemptCount: the instruction is found in both forms, and in nothing else.
func TestPreemptCount(t *testing.T) {
	const addr = 0xffffffff81000000
	entry := "\xf3\x0f\x1e\xfa\x0f\x1f\x44\x00\x00"
	for _, test := range []struct {
		code string
		want uint64
		ok   bool
	}{
		{entry + "\x65\x81\x05\x10\x00\x00\x00\x00\x00\x01\x00\xc3", addr + 9 + 11 + 0x10, true},
		{entry + "\x65\x81\x05\xf0\xff\xff\xff\x00\x00\x01\x00\xc3", addr + 9 + 11 - 0x10, true},
		{entry + "\x65\x81\x04\x25\x40\x2d\x03\x00\x00\x00\x01\x00\xc3", 0x32d40, true},
		{entry + "\x65\x81\x05\x10\x00\x00\x00\x00\x01\x00\x00\xc3", 0, false}, // adds 0x100
		{entry + "\x65\x81\x05\x10\x00\x00\x00\x00\x00\x01", 0, false},
		{entry + "\xbf\x00\x00\x01\x00\xe8\x00\x00\x00\x00\xc3", 0, false}, // calls preempt_count_add
		{"", 0, false},
	} {
		got, err := preemptCount([]byte(test.code), addr)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("% x: got %#x, %v, want %#x", test.code, got, err, test.want)
		}
	}
}

// TestPreemptFound: where functions have names the place is found, or the kernel is of another kind.
func TestPreemptFound(t *testing.T) {
	if _, err := kallsyms.Read(); err != nil {
		t.Skip(err)
	}
	if tr := open(t, ipitrace.Options{}); tr.preemptAt == 0 {
		_, err := tr.findPreemptCount()
		t.Error(err)
	}
}

// TestIRQWorkWakes: an interrupt without events, or whose events are off, is not the fault of the
// thread that it interrupts. irq_work wakes a thread on the victim.
func TestIRQWorkWakes(t *testing.T) {
	const n = 100
	for _, symbols := range []func() (*kallsyms.Table, error){nil, hideSymbols} {
		events := symbols != nil
		opts := rig.Options(t, ipitrace.Options{NoCost: true, TGIDs: []int32{int32(os.Getpid()), 0}})
		tr, err := openWith(opts, tuning{kprobes: tuned.kprobes, symbols: symbols})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%q", tr.Missing())
		woken := wakeByIRQWork(t, n)
		s := closed(t, tr)
		blamed := sum(t, s, func(r *ipi.Row) bool {
			return r.Kind == ipi.Resched && r.Sender.PID == os.Getpid() && r.Origin.Syscall == "bpf"
		})
		right := sum(t, s, func(r *ipi.Row) bool {
			return r.Kind == ipi.Resched && r.Sender.PID == 0 && r.Origin.Path == "irq"
		})
		if woken < n/2 {
			t.Skipf("%d of %d wakeups came: others use the CPU", woken, n)
		}
		// A CPU that has just begun to idle is woken without an IPI.
		if blamed.IPIs > 0 || right.IPIs < uint64(woken)/4 {
			t.Errorf("by events %v: the process is blamed for %d, nobody for %d; %d wakeups", events, blamed.IPIs, right.IPIs, woken)
		}
	}
}

// wakeByIRQWork wakes a thread of a higher class on the victim, where another spins, and returns how
// often it woke.
func wakeByIRQWork(t *testing.T, n int) int {
	t.Helper()
	ring, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8)) // three of its threads do not let theirs go
	var stop atomic.Bool
	var woken atomic.Int64
	done := make(chan error, 3)
	on := func(cpu int, fifo bool, run func() error) {
		go func() {
			runtime.LockOSThread() // for good
			err := pin(cpu)
			if fifo && err == nil {
				err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
			}
			if err == nil {
				err = run()
			}
			done <- err
		}()
	}
	on(victim, true, func() error {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(ep)
		events := make([]unix.EpollEvent, 1)
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, ring.FD(), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}); err != nil {
			return err
		}
		for !stop.Load() {
			// RawSyscall: the Go runtime wakes no other thread for it.
			got, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_WAIT, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), 1, 100, 0, 0)
			switch errno {
			case 0:
				woken.Add(int64(got))
			case unix.EINTR: // Go would like to have the thread
			default:
				return errno
			}
		}
		return nil
	})
	on(victim, false, func() error {
		for !stop.Load() {
		}
		return nil
	})
	time.Sleep(50 * time.Millisecond)
	woken.Store(0)
	prog := ringProgram(t, ring)
	on(sender, false, func() error {
		defer stop.Store(true)
		for range n {
			if _, err := prog.Run(&ebpf.RunOptions{}); err != nil {
				return err
			}
			before := woken.Load()
			for end := time.Now().Add(20 * time.Millisecond); woken.Load() == before && time.Now().Before(end); {
			}
			for end := time.Now().Add(100 * time.Microsecond); time.Now().Before(end); { // it sleeps again
			}
		}
		return nil
	})
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return int(woken.Load())
}

// ringProgram wakes who waits for the ring buffer, by irq_work (kernel/bpf/ringbuf.c,
// bpf_ringbuf_commit).
func ringProgram(t *testing.T, ring *ebpf.Map) *ebpf.Program {
	t.Helper()
	const forceWakeup = 2 // BPF_RB_FORCE_WAKEUP of include/uapi/linux/bpf.h
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: license, Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, 1), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, forceWakeup),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}
