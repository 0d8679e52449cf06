// Command prog opens an arena beside its own text and says where it went. It
// fails if the arena is out of reach, or in the way of the brk heap.
//
//	prog random   under the address randomization that the system has
//	prog fixed    without
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/arena"
	"github.com/quietpatch/quietpatch/internal/self"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const addrNoRandomize = 0x0040000 // personality(2)

func run() error {
	if len(os.Args) > 1 && os.Args[1] == "fixed" {
		runtime.LockOSThread()
		if _, _, errno := unix.Syscall(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0); errno != 0 {
			return errno
		}
		return unix.Exec("/proc/self/exe", []string{os.Args[0], "child"}, os.Environ())
	}
	img, err := self.Load()
	if err != nil {
		return err
	}
	lo, hi := img.Range()
	a, err := arena.Open(lo, hi)
	if err != nil {
		return err
	}
	s := a.Stats()
	for _, x := range []uintptr{lo, hi} {
		for _, y := range []uintptr{s.Base, s.Base + s.ReservedBytes} {
			if d := int64(x) - int64(y); d < math.MinInt32 || d > math.MaxInt32 {
				return fmt.Errorf("%d bytes from %#x to %#x", d, x, y)
			}
		}
	}
	if err := call(a); err != nil {
		return err
	}
	if err := growHeap(); err != nil {
		return err
	}
	where := "above"
	if s.Base < lo {
		where = "below"
	}
	fmt.Println(where, s.Backing, s.ReservedBytes)
	return a.Close()
}

// call runs MOVL $42, AX; RET in the arena.
func call(a *arena.Arena) error {
	at, err := a.Alloc(6)
	if err != nil {
		return err
	}
	if err := a.Write(at, []byte{0xB8, 42, 0, 0, 0, 0xC3}); err != nil {
		return err
	}
	p := &at // a func value is a pointer to a word that holds the code's address
	if got := (*(*func() int)(unsafe.Pointer(&p)))(); got != 42 {
		return fmt.Errorf("the code at %#x returned %d", at, got)
	}
	return a.Free(at)
}

// growHeap moves the break up as C's malloc would.
func growHeap() error {
	const more = 256 << 20
	now, _, _ := unix.Syscall(unix.SYS_BRK, 0, 0, 0)
	got, _, _ := unix.Syscall(unix.SYS_BRK, now+more, 0, 0)
	if got != now+more {
		return fmt.Errorf("the brk heap at %#x does not grow by %d bytes, only to %#x", now, more, got)
	}
	return nil
}
