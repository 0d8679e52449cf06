package grace_test

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/arena"
	"github.com/quietpatch/quietpatch/internal/grace"
)

// stub puts code into an arena and returns it as a function. A func value is a
// pointer to a word that holds the address of the code; an argument comes in
// AX, a result goes there (abi-internal.md).
func stub(t *testing.T, code ...byte) func(*memory) uint64 {
	t.Helper()
	pc := reflect.ValueOf(stub).Pointer()
	a, err := arena.Open(pc, pc+1)
	if err != nil {
		t.Fatal(err)
	}
	at, err := a.Alloc(len(code))
	if err == nil {
		err = a.Write(at, code)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // both tests have waited for their threads to leave
		if err := a.Free(at); err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &at
	return *(*func(*memory) uint64)(unsafe.Pointer(&p))
}

// memory is what the stubs of these tests read and write.
type memory struct {
	entered atomic.Uint32 // at 0
	left    atomic.Uint32 // at 4
	n       uint64        // at 8: rounds to spin
	current atomic.Uint64 // at 16: address of the data in use
}

const expected = 0x600D600D

// spinner enters, spins n rounds, and leaves.
var spinner = []byte{
	0xC7, 0x00, 1, 0, 0, 0, // MOVL $1, 0(AX)
	0x48, 0x8B, 0x48, 8, // MOVQ 8(AX), CX
	0x48, 0xFF, 0xC9, // DECQ CX
	0x75, 0xFB, // JNE back to DECQ
	0xC7, 0x40, 4, 1, 0, 0, 0, // MOVL $1, 4(AX)
	0xC3, // RET
}

// reader takes the current data and reads it n times. It returns 0 if the data
// stayed as expected.
var reader = []byte{
	0x48, 0x8B, 0x50, 16, // MOVQ 16(AX), DX
	0x48, 0x8B, 0x48, 8, // MOVQ 8(AX), CX
	0x81, 0x3A, 0x0D, 0x60, 0x0D, 0x60, // CMPL (DX), $expected
	0x75, 0x08, // JNE wrong
	0x48, 0xFF, 0xC9, // DECQ CX
	0x75, 0xF3, // JNE back to CMPL
	0x31, 0xC0, // XORL AX, AX
	0xC3,                // RET
	0xB8, 0x01, 0, 0, 0, // wrong: MOVL $1, AX
	0xC3, // RET
}

// twoThreads makes sure that one goroutine can be in a stub while another runs.
func twoThreads(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(was, 2))
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

func synchronize(t *testing.T, p grace.Period) {
	if _, err := grace.Synchronize(); err != nil || !p.Over() {
		t.Errorf("Synchronize: %v, over %v", err, p.Over())
	}
}

func closed(c chan bool) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// collect lets the collector stop the world.
func collect(t *testing.T, p grace.Period) {
	runtime.GC()
	if !p.Over() {
		t.Error("not over after a collection")
	}
}

// TestInsideHoldsUp: a period that began while a thread was in the stub is not
// over before it has left. What ends the stay is a count, not a flag: nothing
// that runs in Go can set one while the world is being stopped.
func TestInsideHoldsUp(t *testing.T) {
	twoThreads(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	spin := stub(t, spinner...)
	for name, end := range map[string]func(*testing.T, grace.Period){"Synchronize": synchronize, "collection": collect} {
		t.Run(name, func(t *testing.T) {
			caught := 0
			for n := uint64(1e6); caught < 5 && n < 1e10; {
				m := &memory{n: n}
				done := make(chan bool)
				go func() { spin(m); close(done) }()
				for m.entered.Load() == 0 {
					runtime.Gosched()
				}
				p := grace.Begin()
				inside := m.left.Load() == 0
				ended := make(chan bool)
				go func() { end(t, p); close(ended) }()
				for !p.Over() && !closed(ended) {
					runtime.Gosched()
				}
				if left := m.left.Load() == 1; inside && !left {
					t.Error("over, with a thread in the stub")
				}
				<-done
				<-ended
				if inside {
					caught++
				} else {
					n *= 2 // it left too early to show anything
				}
			}
			if caught == 0 {
				t.Error("no thread was seen inside")
			}
		})
	}
}

// data is read by stubs: a variable of the package does not move.
var data [2]uint32

func address(i int) uint64 { return uint64(uintptr(unsafe.Pointer(&data[i]))) }

// TestTorture is the kernel's rcutorture in small: readers take data in stubs
// and must never see it freed; the updater replaces it, waits, and poisons
// what was there before.
func TestTorture(t *testing.T) {
	twoThreads(t)
	read := stub(t, reader...)
	data[0] = expected
	m := &memory{n: 20_000}
	m.current.Store(address(0))
	var over atomic.Bool
	wrong := make(chan uint64)
	for range 2 {
		go func() {
			var n uint64
			for !over.Load() {
				n += read(m)
				runtime.Gosched() // where it can be stopped: almost all of the rest is the stub
			}
			wrong <- n
		}()
	}
	updates, old := 0, 0
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); updates++ {
		atomic.StoreUint32(&data[1-old], expected)
		m.current.Store(address(1 - old))
		end := synchronize
		if updates%8 == 0 {
			end = collect
		}
		end(t, grace.Begin())
		atomic.StoreUint32(&data[old], 0xDEADBEEF)
		old = 1 - old
	}
	over.Store(true)
	if n := <-wrong + <-wrong; n > 0 {
		t.Errorf("%d reads of freed data in %d updates", n, updates)
	}
	if updates < 3 {
		t.Errorf("only %d updates", updates)
	}
	t.Logf("%d updates", updates)
}
