package ipibpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// countingFunction counts in preempt_count that the CPU is in an interrupt (kernel/softirq.c,
// __irq_enter_raw). Where that is its code says: kallsyms lists variables only with
// CONFIG_KALLSYMS_ALL, and kernels from 6.2 to 6.14 have it as a field of another one, pcpu_hot.
const countingFunction = "irq_enter_rcu"

// errNoCount says that it is not known.
var errNoCount = errors.New("preempt_count")

// countingMost is how much of its code is looked at.
const countingMost = 64

// preemptCount finds in the code of countingFunction, at addr, where preempt_count is on CPU 0 if
// that has __per_cpu_offset 0: the memory operand of
//
//	addl $0x10000, %gs:disp32(%rip)    65 81 05 disp32 imm32    since Linux 6.8 or so
//	addl $0x10000, %gs:disp32          65 81 04 25 disp32 imm32
//
// (SDM volume 2, ADD, table 2-2). 0x10000 is HARDIRQ_OFFSET of include/linux/preempt.h.
func preemptCount(code []byte, addr uint64) (uint64, error) {
	hardirqOffset := []byte{0, 0, 1, 0}
	for _, form := range []struct {
		opcode []byte
		isRIP  bool
	}{{[]byte{0x65, 0x81, 0x05}, true}, {[]byte{0x65, 0x81, 0x04, 0x25}, false}} {
		at := bytes.Index(code, form.opcode)
		disp := at + len(form.opcode)
		if at < 0 || len(code) < disp+8 || !bytes.Equal(code[disp+4:disp+8], hardirqOffset) {
			continue
		}
		to := uint64(int64(int32(binary.LittleEndian.Uint32(code[disp:]))))
		if form.isRIP {
			to += addr + uint64(disp+8)
		}
		return to, nil
	}
	return 0, fmt.Errorf("code of %s at %#x: expected addl $0x10000, %%gs:preempt_count within %d bytes, found % x", countingFunction, addr, len(code), code)
}
