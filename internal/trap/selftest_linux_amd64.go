package trap

import "fmt"

// probe runs into a trap byte that stands in our own code for good.
func probe() (zf, bx uint64)

// probeAddr returns the address of that trap byte.
func probeAddr() uintptr

// calleeAddr returns the address of a function that the trap byte can stand for a
// call of.
func calleeAddr() uintptr

const (
	probeLen    = 7
	probeValue  = 0x5EED5EED5EED
	calleeValue = 0xCA11CA11
	flagZF      = 1 << 6
	regBX       = 3
)

// SelfTest takes two traps on this machine and checks that they were emulated: one
// that writes a register and clears ZF, and one that calls a function, which does the
// same; both went on behind the site. It uses the vector, so no batch may be under
// way. [Install] comes first.
func SelfTest() error {
	if err := Check(); err != nil {
		return err
	}
	at := probeAddr()
	if err := selfTest("a register", probeValue, Entry{
		Addr: at, Resume: at + probeLen, Slot: Slot(regBX), Value: probeValue, FlagsClear: flagZF,
	}); err != nil {
		return err
	}
	return selfTest("a call", calleeValue, Entry{Addr: at, Resume: calleeAddr(), Push: at + probeLen, Slot: NoSlot})
}

func selfTest(what string, want uint64, en Entry) error {
	if err := Publish([]Entry{en}); err != nil {
		return err
	}
	zf, bx := probe()
	Retire()
	if zf != 0 || bx != want {
		return fmt.Errorf("%w: self-test of %s at %#x: expected ZF=0 BX=%#x, found ZF=%d BX=%#x",
			ErrHandler, what, en.Addr, want, zf, bx)
	}
	return nil
}
