package arena

import (
	"bytes"
	"errors"
	"fmt"
)

const (
	// int3 fills memory that holds no stub: whoever strays there traps.
	int3 = 0xCC
	// align is that of blocks: the alignment that Intel recommends for branch
	// targets (Optimization Reference Manual, "Code Alignment").
	align = 16
	// chunkBytes is the least that is committed at a time, and the alignment of
	// the arena.
	chunkBytes = 64 << 10
	// growShare: an arena grows by an eighth, if that is more than a chunk, so
	// that even a full one is made of some fifty mappings.
	growShare = 8
)

var (
	// ErrNoRoom is wrapped by the errors of Open where no free addresses are
	// within reach of the text.
	ErrNoRoom = errors.New("no room for stubs near the text")
	// ErrFull is wrapped by the errors of Alloc when the arena has no such block.
	ErrFull = errors.New("arena of stubs is full")
	// ErrBacking is wrapped by the errors of Open where the system lets us make
	// no code in memory.
	ErrBacking = errors.New("no executable memory for stubs")
	// ErrBlock is wrapped by errors about an address that is no block in use, or
	// one that cannot take the code.
	ErrBlock = errors.New("block of stubs")
)

// backing is the memory behind an arena.
type backing interface {
	name() string
	// commit makes [addr, addr+n) readable, executable, and full of INT3. If it
	// fails, the addresses are reserved as before.
	commit(addr, n uintptr) error
	// write puts code into committed memory.
	write(addr uintptr, code []byte) error
	// view shows committed memory.
	view(addr, n uintptr) []byte
	// close gives everything back, the reserved addresses too.
	close() error
}

// Arena hands out blocks of executable memory.
type Arena struct {
	base, size uintptr // reserved
	committed  uintptr // bytes from base on
	mem        backing // nil once closed
	free       spans   // committed and not in use
	blocks     map[uintptr]uintptr
	inUse      uintptr
}

func newArena(base, size uintptr, mem backing) *Arena {
	return &Arena{base: base, size: size, mem: mem, blocks: make(map[uintptr]uintptr)}
}

// Alloc returns the address of a block for n bytes of code, aligned to 16. It
// holds INT3 until Write.
func (a *Arena) Alloc(n int) (uintptr, error) {
	if a.mem == nil {
		return 0, errClosed
	}
	if n <= 0 {
		return 0, fmt.Errorf("%w: expected a size of at least 1 byte, found %d", ErrBlock, n)
	}
	size := roundUp(uintptr(n), align)
	addr, ok := a.free.take(size)
	if !ok {
		if err := a.grow(size); err != nil {
			return 0, err
		}
		if addr, ok = a.free.take(size); !ok {
			return 0, a.full(size)
		}
	}
	a.blocks[addr] = size
	a.inUse += size
	return addr, nil
}

var errClosed = fmt.Errorf("%w: the arena is closed", ErrBlock)

// grow commits so much that a block of n bytes fits.
func (a *Arena) grow(n uintptr) error {
	end := a.base + a.committed
	need := n - min(n, a.free.endingAt(end))
	left := a.size - a.committed
	if need > left {
		return a.full(n)
	}
	step := min(left, roundUp(max(need, a.committed/growShare), chunkBytes))
	if err := a.mem.commit(end, step); err != nil {
		return fmt.Errorf("%d more bytes for stubs at %#x: %w", step, end, err)
	}
	a.committed += step
	a.free.put(end, step)
	return nil
}

func (a *Arena) full(n uintptr) error {
	return fmt.Errorf("%w: %d bytes wanted; %d of %d bytes are in use, in %d blocks, the largest free piece has %d: patch fewer calls",
		ErrFull, n, a.inUse, a.size, len(a.blocks),
		max(a.free.largest(), a.size-a.committed+a.free.endingAt(a.base+a.committed)))
}

// Write puts code into the block at addr, which nothing may lead to yet, and
// which was not written since Alloc. The caller syncs before anything leads
// there.
func (a *Arena) Write(addr uintptr, code []byte) error {
	size, ok := a.blocks[addr]
	if !ok {
		return fmt.Errorf("%w: write to %#x, which is not the start of a block in use", ErrBlock, addr)
	}
	if uintptr(len(code)) > size {
		return fmt.Errorf("%w: %d bytes of code for the block of %d at %#x", ErrBlock, len(code), size, addr)
	}
	for i, b := range a.mem.view(addr, size) {
		if b != int3 {
			return fmt.Errorf("%w: at %#x, expected %#x in a block that was not written yet, found %#x "+
				"(written twice, or changed by somebody else: free it and take another)", ErrBlock, addr+uintptr(i), int3, b)
		}
	}
	return a.put(addr, code)
}

// put writes and reads back: a kernel that refuses writes through
// /proc/self/mem need not say so.
func (a *Arena) put(addr uintptr, code []byte) error {
	if err := a.mem.write(addr, code); err != nil {
		return fmt.Errorf("%w: %d bytes to %#x: %w", ErrBlock, len(code), addr, err)
	}
	if found := a.mem.view(addr, uintptr(len(code))); !bytes.Equal(found, code) {
		return fmt.Errorf("%w: wrote % x at %#x, % x stands there instead", ErrBlock, code, addr, found)
	}
	return nil
}

// Free makes the block at addr available again, full of INT3. The caller
// guarantees that no thread is inside and none can get there: nothing leads
// there any more, a sync has passed since, and a grace period after that. A
// block that cannot be overwritten stays in use.
func (a *Arena) Free(addr uintptr) error {
	size, ok := a.blocks[addr]
	if !ok {
		return fmt.Errorf("%w: free of %#x, which is not the start of a block in use (freed twice?)", ErrBlock, addr)
	}
	if err := a.put(addr, bytes.Repeat([]byte{int3}, int(size))); err != nil {
		return err
	}
	delete(a.blocks, addr)
	a.inUse -= size
	a.free.put(addr, size)
	return nil
}

// Contains reports whether addr lies in the arena, reserved parts included.
func (a *Arena) Contains(addr uintptr) bool {
	return a.mem != nil && addr-a.base < a.size
}

// Stats says how much there is.
type Stats struct {
	Backing        string // "memfd", "procmem"; empty once closed
	Base           uintptr
	ReservedBytes  uintptr
	CommittedBytes uintptr // memory, the rest is addresses only
	InUseBytes     uintptr
	Blocks         int
}

// Stats returns the present numbers.
func (a *Arena) Stats() Stats {
	if a.mem == nil {
		return Stats{}
	}
	return Stats{
		Backing: a.mem.name(), Base: a.base, ReservedBytes: a.size, CommittedBytes: a.committed,
		InUseBytes: a.inUse, Blocks: len(a.blocks),
	}
}

// Close gives the memory back. It does nothing and returns an error while a
// block is in use. What Free promises holds for Close too.
func (a *Arena) Close() error {
	if a.mem == nil {
		return nil
	}
	if len(a.blocks) > 0 {
		return fmt.Errorf("%w: close with %d blocks in use: free them first", ErrBlock, len(a.blocks))
	}
	err := a.mem.close()
	a.mem, a.free, a.committed = nil, spans{}, 0
	return err
}

// roundUp rounds n up to a multiple of a power of two.
func roundUp(n, to uintptr) uintptr { return (n + to - 1) &^ (to - 1) }
