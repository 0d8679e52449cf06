//go:build linux && amd64

package text

import "fmt"

// target returns the constant in its one instruction; the self-test pokes it.
func target() uint32

// targetAddr returns the address of that instruction, MOVL $imm32, AX.
func targetAddr() uintptr

const (
	targetOp    = 0xB8 // MOVL $imm32, AX
	targetOff   = 1    // of the immediate's low byte
	targetValue = 0x11
)

// SelfTest pokes a function of ours on this machine, syncs, calls it, and puts
// it back: proof that what is written is what runs.
func (t *Text) SelfTest(sync func() error) error {
	at := targetAddr() + targetOff
	if op := loadByte(targetAddr()); op != targetOp {
		return fmt.Errorf("%w self-test: expected opcode %#x at %#x, found %#x", ErrBackend, targetOp, targetAddr(), op)
	}
	if err := t.Prepare([]uintptr{at}); err != nil {
		return err
	}
	defer t.restoreTarget(at)
	for _, step := range [][2]uint64{{targetValue, targetValue + 1}, {targetValue + 1, targetValue}} {
		if err := t.Poke(at, 1, step[0], step[1]); err != nil {
			return fmt.Errorf("%w self-test: %w", ErrBackend, err)
		}
		if err := sync(); err != nil {
			return fmt.Errorf("%w self-test: %w", ErrBackend, err)
		}
		if got := target(); uint64(got) != step[1] {
			return fmt.Errorf("%w self-test at %#x: poked %#x, the CPU executed %#x", ErrBackend, at, step[1], got)
		}
	}
	return nil
}

// restoreTarget puts the target back after a test that failed half way: the
// next one expects it so.
func (t *Text) restoreTarget(at uintptr) {
	if Load(at, 1) == targetValue+1 {
		_ = t.Poke(at, 1, targetValue+1, targetValue) // if this fails too, the next test says so
	}
}
