package ipibpf

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestMany: an IPI to several CPUs counts for each victim, and where there is none nobody is asked who
// sends. The masks are code of the kernel, of which the program reads the bits.
func TestMany(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(victim); err != nil { // which sends nothing to itself
		t.Fatal(err)
	}
	defer func() { _ = pin(sender) }()
	tr := open(t, ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}, NoCost: true})
	p := tr.coll.Programs["send_many"]
	if p == nil {
		t.Skip("IPIs to several CPUs are seen by a kprobe here")
	}
	addr := tr.names.Address(countingFunction)
	code, err := readKernel(addr, countingMost)
	if err != nil {
		t.Skip(err)
	}
	sent := map[bool]int{}
	for _, hit := range []bool{false, true} {
		for i, b := range code {
			if has := b>>victim&1 == 1; has != hit || i%8 != 0 && i > len(code)-8 {
				continue
			}
			args := struct{ Mask, Callsite, Callback uint64 }{Mask: addr + uint64(i), Callback: 1}
			if _, err := p.Run(&ebpf.RunOptions{Context: args}); err != nil {
				t.Fatal(err)
			}
			sent[hit]++
		}
		list := make([]rawSlot, tr.cpus)
		if err := tr.coll.Maps["slots"].Lookup(uint32(0), list); err != nil {
			t.Fatal(err)
		}
		if filled := list[victim].Key.Origin.TID != 0; filled != hit {
			t.Errorf("%d masks with the victim %v: who sends was asked: %v", sent[hit], hit, filled)
		}
	}
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		return r.Kind == ipi.Call && r.Cause == "" && r.Origin.Syscall == "bpf"
	})
	if sent[false] == 0 || sent[true] == 0 || got.IPIs != uint64(sent[true]) {
		t.Errorf("got %d of %v", got.IPIs, sent)
	}
}

// TestAt: a snapshot is of the time for which was counted, without that of the end.
func TestAt(t *testing.T) {
	const tries = 5
	for try := 1; ; try++ {
		tr := open(t, ipitrace.Options{})
		time.Sleep(20 * time.Millisecond)
		least := time.Since(tr.start)
		begin := time.Now()
		s := closed(t, tr)
		took := time.Since(begin)
		if over := s.At - least; over >= 0 && over < took/4 {
			return
		} else if try == tries {
			t.Fatalf("counted for %v or little more, got %v; the end took %v", least, s.At, took)
		}
	}
}
