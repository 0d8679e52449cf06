package ipibpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// findPreemptCount returns where preempt_count is, for __per_cpu_offset to be added.
func (t *Tracer) findPreemptCount() (uint64, error) {
	addr := t.names.Address(countingFunction)
	if addr == 0 {
		return 0, fmt.Errorf("%w: there is no function %s", errNoCount, countingFunction)
	}
	code, err := readKernel(addr, countingMost)
	if err != nil {
		return 0, fmt.Errorf("code of %s: %w", countingFunction, err)
	}
	return preemptCount(code, addr)
}

// readKernel reads the kernel's memory by a program, which is allowed where programs may read it at all.
func readKernel(addr uint64, n int) ([]byte, error) {
	to, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(n), MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	defer to.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: license, Instructions: asm.Instructions{
		asm.LoadMapValue(asm.R1, to.FD(), 0),
		asm.Mov.Imm(asm.R2, int32(n)),
		asm.LoadImm(asm.R3, int64(addr), asm.DWord),
		asm.FnProbeReadKernel.Call(),
		asm.Return(),
	}})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if code, err := p.Run(&ebpf.RunOptions{}); err != nil || code != 0 {
		return nil, fmt.Errorf("%#x: code %d, %v", addr, int32(code), err)
	}
	b := make([]byte, n)
	return b, to.Lookup(uint32(0), b)
}
