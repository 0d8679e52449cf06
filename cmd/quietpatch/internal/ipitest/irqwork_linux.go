package ipitest

import (
	"os"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// IRQWork: what a CPU sends to itself is for none of the calls that it has queued, and no call of
// its own.
func (b *Backend) IRQWork(t *testing.T) {
	const n = 100
	o := b.Syscalls
	o.TGIDs = []int32{int32(os.Getpid())} // else it is the tracer's own, and in no row
	tr := b.Open(t, o)
	if b.LateCalls != nil && b.LateCalls(tr) {
		t.Skip("by kprobes irq_work is counted where it arrives")
	}
	workOn(t, b.Victim, n)
	s := Closed(t, tr)
	own := func(r *ipi.Row) bool {
		return r.CPU == b.Victim && r.Sender.PID == os.Getpid() && r.Origin.Syscall == "bpf" && r.Queued == 0
	}
	got := Sum(t, s, func(r *ipi.Row) bool { return own(r) && r.Kind == ipi.IRQWork && r.Cause == "bpf_ringbuf_notify" })
	if got.IPIs != n || got.CostNS == 0 {
		t.Errorf("got %+v, want %d", got, n)
	}
	if wrong := Sum(t, s, func(r *ipi.Row) bool { return own(r) && r.Kind == ipi.Call }); wrong.IPIs > 0 {
		t.Errorf("calls that nobody has queued: %+v", wrong)
	}
}

// workOn makes irq_work on a CPU n times: a ring buffer wakes its readers by that
// (kernel/bpf/ringbuf.c, bpf_ringbuf_commit).
func workOn(t *testing.T, cpu, n int) {
	t.Helper()
	ring, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 1 << 16})
	if err != nil {
		t.Skipf("needs eBPF: %v", err)
	}
	defer ring.Close()
	const forceWakeup = 2 // BPF_RB_FORCE_WAKEUP of include/uapi/linux/bpf.h
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, 1), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, forceWakeup),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Skipf("needs eBPF: %v", err)
	}
	defer prog.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread keeps its CPU
		err := affinity.Pin(cpu)
		for i := 0; i < n && err == nil; i++ {
			_, err = prog.Run(&ebpf.RunOptions{})
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
