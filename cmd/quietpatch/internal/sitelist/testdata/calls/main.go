// Command calls has static calls of all kinds, and prints what the engine in it finds.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/staticcall"
)

var sum = staticcall.New(sumBytes)

var _ = staticcall.Register(&sum, "sum", "checksum of a block")

func sumBytes(b []byte) (n uint32) {
	for _, c := range b {
		n += uint32(c)
	}
	return n
}

//go:noinline
func Sum(b []byte) uint32 { return sum.Func()(b) }

// Two forwarders of one call, one of them a method that is promoted by a jump.
var hash = staticcall.New(hashTable)

type table struct{ seed uint64 }

//go:noinline
func (t *table) Hash(s string) uint64 { return hash.Func()(t, s) }

//go:noinline
func HashOf(t *table, s string) uint64 { return hash.Func()(t, s) }

func hashTable(t *table, s string) uint64 { return t.seed + uint64(len(s)) }

type outer struct{ table }

type hasher interface{ Hash(string) uint64 }

// In a struct, with a name, and nil.
var hooks struct {
	count int
	done  staticcall.Call[func(int)]
}

//go:noinline
func Done(n int) { hooks.done.Func()(n) }

// Not registered, and read by what is no forwarder.
var odd = staticcall.New(double)

func double(x int) int { return 2 * x }

//go:noinline
func Odd(x int) int { return odd.Func()(x) + 1 }

//go:noinline
func Even(x int) int { return odd.Func()(x) }

// Both reads two calls.
//
//go:noinline
func Both(x int) int { return odd.Func()(x) + last.Func()(x) + last.Func()(x) }

var last = staticcall.New(func(x int) int { return 2 * x }) // given to it by main.init

//go:noinline
func use(b []byte) uint64 {
	var h hasher = &outer{}
	if len(os.Args) > 1 {
		h = &table{}
	}
	Done(1)
	n := uint64(Sum(b)) + uint64(Sum(b[1:])) + h.Hash("x")
	Done(2)
	return n + HashOf(&table{1}, "y") + uint64(Odd(1)+Even(2)+Both(1))
}

type result struct {
	Sum      uintptr // the address of the variable
	Calls    map[string][]staticcall.Site
	Indirect []indirect
	Errors   []string
}

type indirect struct {
	Addr uint64
	Func string
}

func main() {
	hooks.done = staticcall.NewCond[func(int)](nil)
	r := result{Sum: uintptr(unsafe.Pointer(&sum)), Calls: map[string][]staticcall.Site{}}
	add := func(name string, sites []staticcall.Site, err error) {
		r.Calls[name] = sites
		if err != nil {
			r.Errors = append(r.Errors, err.Error())
		}
	}
	add("done", nil, staticcall.Register(&hooks.done, "done", ""))
	if n := use([]byte{1, 2}); n != 3+2+1+2+3+4+6 {
		r.Errors = append(r.Errors, fmt.Sprint("use gives ", n))
	}
	for name, sites := range map[string]func() ([]staticcall.Site, error){
		"sum": sum.Sites, "hash": hash.Sites, "done": hooks.done.Sites, "odd": odd.Sites, "last": last.Sites,
	} {
		s, err := sites()
		add(name, s, err)
	}
	calls, err := engine.Default.Indirects(nil)
	for _, c := range calls {
		r.Indirect = append(r.Indirect, indirect{c.Addr(), c.Func()})
	}
	if err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}
