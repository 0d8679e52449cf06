package trap

import "fmt"

// probe runs into a trap byte that stands in our own code for good.
func probe() (zf, bx uint64)

// probeAddr returns the address of that trap byte.
func probeAddr() uintptr

const (
	probeLen   = 7
	probeValue = 0x5EED5EED5EED
	flagZF     = 1 << 6
	regBX      = 3
)

// SelfTest takes one trap on this machine and checks that it was emulated: the
// register written, ZF cleared, and execution resumed behind the site. It uses
// the vector, so no batch may be under way. [Install] comes first.
func SelfTest() error {
	if err := Check(); err != nil {
		return err
	}
	at := probeAddr()
	if err := Publish([]Entry{{
		Addr: at, Resume: at + probeLen, Slot: Slot(regBX), Value: probeValue, FlagsClear: flagZF,
	}}); err != nil {
		return err
	}
	zf, bx := probe()
	Retire()
	if zf != 0 || bx != probeValue {
		return fmt.Errorf("%w: self-test at %#x: expected ZF=0 BX=%#x, found ZF=%d BX=%#x",
			ErrHandler, at, uint64(probeValue), zf, bx)
	}
	return nil
}
