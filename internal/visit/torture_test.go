//go:build linux && amd64 && !race

package visit

import (
	"errors"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/trap"
)

// data is read by stubs: a variable of the package does not move.
var data [2]struct {
	word uint32
	_    [15]uint32
}

// readerOf is a reader whose data is in the code.
func readerOf(i int) []byte {
	return slices.Concat([]byte{0x48, 0xBA}, imm64(unsafe.Pointer(&data[i])), reader) // MOVQ $data, DX
}

// storm preempts, collects and makes processes until the test is over.
func storm(t *testing.T, stop *atomic.Bool) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			if n%(1<<22) == 0 && stop.Load() {
				return
			}
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		for !stop.Load() { // threads come and go
			done := make(chan bool)
			go func() { runtime.LockOSThread(); close(done) }()
			<-done
		}
	})
	return wg.Wait
}

// rest takes about as long as a stay in a stub, and returns 0.
//
//go:noinline
func rest() uint64 {
	n := uint64(stay)
	for n > 0 {
		n--
	}
	return n
}

const stay = 2_000_000

// TestTorture: readers get into one of two stubs, by a call and by the trap handler, while
// an updater leads them to the other, makes a round, and poisons what the stub
// that nothing leads to any more reads.
func TestTorture(t *testing.T) {
	if !inChild(t) {
		return
	}
	runtime.GOMAXPROCS(4)
	if err := trap.Install(0, ^uintptr(0)); err != nil {
		t.Fatal(err)
	}
	a, b := page(t), page(t)
	stubs := [2]uintptr{put1(t, a, readerOf(0)), put1(t, a, readerOf(1))}
	site := put1(t, b, []byte{0xCC, 0xC3})
	sc := scene(t, a)
	var current atomic.Pointer[uintptr]
	lead := func(i int) {
		current.Store(&stubs[i])
		if err := trap.Publish([]trap.Entry{{Addr: site, Resume: stubs[i], Slot: trap.NoSlot}}); err != nil {
			t.Error(err)
		}
	}
	data[0].word = expected
	lead(0)
	m := &memory{n: stay}
	var over atomic.Bool
	wrong := make(chan uint64)
	trapped := fn(site)
	for i := range 2 {
		go func() {
			var n uint64
			for !over.Load() {
				if i%2 == 0 {
					n += trapped(m)
				} else {
					p := current.Load()
					n += (*(*func(*memory) uint64)(unsafe.Pointer(&p)))(m)
				}
				n += rest() // a thread that is always inside cannot be seen outside
			}
			wrong <- n
		}()
	}
	quiet := storm(t, &over)
	long := 6 * time.Second
	if testing.Short() {
		long = time.Second
	}
	updates, failed := updateFor(t, long, sc, lead)
	over.Store(true)
	if n := <-wrong + <-wrong; n > 0 {
		t.Errorf("%d reads of freed data in %d updates", n, updates)
	}
	quiet()
	if updates == 0 {
		t.Errorf("only %d updates", updates)
	}
	t.Logf("%d updates, %d rounds that were not over, %d signals, traps %+v", updates, failed, Signals(), trap.Counters())
}

func updateFor(t *testing.T, d time.Duration, sc Scene, lead func(int)) (updates, failed int) {
	old := 0
	for until := time.Now().Add(d); time.Now().Before(until); updates++ {
		atomic.StoreUint32(&data[1-old].word, expected)
		lead(1 - old)
		for {
			err := Round(sc)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrUnseen) || time.Now().After(until.Add(d)) {
				t.Error(err)
				return updates, failed
			}
			failed++
		}
		atomic.StoreUint32(&data[old].word, 0xDEADBEEF)
		old = 1 - old
	}
	return updates, failed
}
