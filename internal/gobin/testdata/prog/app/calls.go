package app

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/quietpatch/quietpatch/staticcall"
)

func sumBytes(b []byte) (n uint32) {
	for _, c := range b {
		n += uint32(c)
	}
	return n
}

// Static calls: with names, with a name that is no constant, without.
var (
	sum   = staticcall.New(sumBytes)
	table struct {
		count int
		hash  staticcall.Call[func(*hashTable, string) uint64]
	}
	late     = staticcall.New(sumBytes)
	unnamed  = staticcall.New(double)
	twisted  = staticcall.New(double)
	_        = staticcall.Register(&sum, "app.sum", "checksum of a block")
	errTwist = staticcall.Register(&twisted, "app.twisted", "")
)

func double(x int) int { return 2 * x }

// Sum is a forwarder.
//
//go:noinline
func Sum(b []byte) uint32 { return sum.Func()(b) }

// Double is a forwarder of a call that nothing registers.
//
//go:noinline
func Double(x int) int { return unnamed.Func()(x) }

// Twisted is none.
//
//go:noinline
func Twisted(x int) int { return twisted.Func()(x) + 1 }

type hashTable struct{ seed uint64 }

// Hash is a forwarder, which wrapped gets by a jump.
//
//go:noinline
func (t *hashTable) Hash(s string) uint64 { return table.hash.Func()(t, s) }

type wrapped struct{ *hashTable }

func hashLen(t *hashTable, s string) uint64 { return t.seed + uint64(len(s)) }

//go:noinline
func registerLate(name string) error {
	return staticcall.Register(&late, name, "its name is an argument")
}

//go:noinline
func callers(b []byte) uint64 {
	n := uint64(Sum(b)) + uint64(Sum(b[1:]))
	var h interface{ Hash(string) uint64 } = wrapped{&hashTable{1}}
	if len(os.Args) > 1 {
		h = &hashTable{2}
	}
	t := &hashTable{n}
	return n + h.Hash("x") + t.Hash("abc") + uint64(Double(1)+Twisted(2))
}

func printCall(label string, addr unsafe.Pointer) { fmt.Printf("call %s %#x\n", label, uintptr(addr)) }

// calls uses them, and prints where they are.
func calls() {
	table.hash = staticcall.New(hashLen)
	must(errTwist)
	must(staticcall.Register(&table.hash, "app.hash", "in a struct"))
	must(registerLate(fmt.Sprint("app.late-", len(os.Args))))
	if n := callers([]byte{1, 2, 3}); n != 11+2+14+7 {
		fmt.Println("calls give", n)
	}
	printCall("app.sum", unsafe.Pointer(&sum))
	printCall("app.twisted", unsafe.Pointer(&twisted))
	printCall("app.hash", unsafe.Pointer(&table.hash))
	printCall("late", unsafe.Pointer(&late))
	printCall("unnamed", unsafe.Pointer(&unnamed))
	if late.Func()(nil) != 0 {
		fmt.Println("late is broken")
	}
}
