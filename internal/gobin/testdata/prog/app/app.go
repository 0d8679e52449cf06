// Package app holds keys of all the kinds that the reader has to tell apart.
package app

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"unsafe"

	"github.com/quietpatch/quietpatch/statickey"
)

// Keys that are found with their names.
var (
	TraceSends statickey.Bool
	TraceDrops statickey.Bool
	nested     struct {
		count int
		key   statickey.Bool
	}
	leveled  statickey.Bool
	caseKey  statickey.Bool
	mainKey  statickey.Bool
	longDesc statickey.Bool
)

// Keys whose names are not constants, and one that nothing registers.
var (
	dynamic  statickey.Bool
	choice   statickey.Bool
	picked   statickey.Bool
	Unused   statickey.Bool
	heap     *statickey.Bool
	spelling = [2]string{"app.heap-", "1"}
)

func init() {
	must(statickey.Register(&TraceSends, "net.trace-sends", "log every packet sent"))
	must(statickey.Register(&nested.key, "app.größe", "in a struct"))
	must(statickey.Register(&longDesc, "app.long", "a description of several lines,\n"+
		"with a tab\tand more text than fits into a few machine words"))
}

var errDrops = statickey.Register(&TraceDrops, "net.trace-drops", "")

func must(err error) {
	if err != nil {
		panic(err)
	}
}

//go:noinline
func registerDynamic(name string) error {
	return statickey.Register(&dynamic, name, "its name is an argument")
}

//go:noinline
func registerChoice(b bool) error {
	name := "app.choice-a"
	if b {
		name = "app.choice-bb"
	}
	return statickey.Register(&choice, name, "its name depends on a branch")
}

// registerPicked has a jump table, and the name is chosen by it.
//
//go:noinline
func registerPicked(n int) error {
	name := "app.pick-default"
	switch n {
	case 0:
		name = "app.pick-0"
	case 1:
		name = "app.pick-11"
	case 2:
		name = "app.pick-222"
	case 3:
		name = "app.pick-3333"
	case 4:
		name = "app.pick-44444"
	case 5:
		name = "app.pick-555555"
	case 6:
		name = "app.pick-6666666"
	case 7:
		name = "app.pick-77777777"
	case 8:
		name = "app.pick-888888888"
	case 9:
		return nil
	}
	return statickey.Register(&picked, name, "its name depends on a switch")
}

// registerLeveled has a jump table too, but each call has constant arguments.
//
//go:noinline
func registerLeveled(n int) (string, error) {
	s := "default"
	switch n {
	case 0:
		s = "a"
	case 1:
		s = "bb"
	case 2:
		s = "ccc"
	case 3:
		s = "dddd"
	case 4:
		s = "eeeee"
	case 5:
		if err := statickey.Register(&caseKey, "app.case", "inside a switch"); err != nil {
			return s, err
		}
	case 6:
		s = "ffffff"
	case 7:
		s = "ggggggg"
	case 8:
		s = "hhhhhhhh"
	case 9:
		s = "iiiiiiiii"
	}
	err := statickey.Register(&leveled, "app.leveled", "after a switch")
	return s, err
}

//go:noinline
func registerHeap() error {
	heap = new(statickey.Bool)
	return statickey.Register(heap, spelling[0]+spelling[1], "on the heap")
}

//go:noinline
func outer() (pc uintptr, file string, line int) { return inlined() }

// inlined is where outer's call instruction belongs to in the source.
func inlined() (uintptr, string, int) {
	pcs := make([]uintptr, 1)
	runtime.Callers(1, pcs)
	f, _ := runtime.CallersFrames(pcs).Next()
	return pcs[0], f.File, f.Line
}

func printFunc(label string, fn any) {
	pc := reflect.ValueOf(fn).Pointer()
	f := runtime.FuncForPC(pc)
	file, line := f.FileLine(f.Entry())
	fmt.Printf("func %s %#x %s %s:%d\n", label, f.Entry(), f.Name(), file, line)
}

func printKey(label string, k *statickey.Bool) {
	fmt.Printf("key %s %#x\n", label, uintptr(unsafe.Pointer(k)))
}

// sites reads keys where the compiler knows them: a branch, and a value.
//
//go:noinline
func sites() (n int, on bool) {
	if TraceSends.Enabled() {
		n++
	}
	if nested.key.Enabled() {
		n += 2
	}
	return n, TraceDrops.Enabled()
}

// Main registers the rest and prints what the running program knows of itself.
func Main() {
	must(errDrops)
	must(statickey.Register(&mainKey, "app.main", "registered late"))
	must(registerDynamic(fmt.Sprint("app.dynamic-", len(os.Args))))
	must(registerChoice(len(os.Args) > 1))
	must(registerPicked(len(os.Args)))
	must(registerHeap())
	_, err := registerLeveled(len(os.Args))
	must(err)

	if n, on := sites(); n != 0 || on {
		fmt.Println("keys are on")
	}
	printFunc("main", Main)
	printFunc("register", statickey.Register)
	printFunc("leveled", registerLeveled)
	pc, file, line := outer()
	fmt.Printf("pc inlined %#x - %s:%d\n", pc-1, file, line)
	calls()

	for _, k := range []struct {
		name string
		key  *statickey.Bool
	}{
		{"net.trace-sends", &TraceSends}, {"net.trace-drops", &TraceDrops}, {"app.größe", &nested.key},
		{"app.leveled", &leveled}, {"app.case", &caseKey}, {"app.main", &mainKey}, {"app.long", &longDesc},
		{"dynamic", &dynamic}, {"choice", &choice}, {"picked", &picked}, {"unused", &Unused},
	} {
		printKey(k.name, k.key)
		if k.key.Enabled() {
			fmt.Println("on", k.name)
		}
	}
}
