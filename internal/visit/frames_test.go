//go:build linux && amd64 && !race

package visit

import (
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cHandler is the memory of a handler as C code might have one.
var cHandler struct {
	entered, release atomic.Uint32
	none             uint64    // an empty mask
	nap              [2]uint64 // a timespec
}

func imm64(p unsafe.Pointer) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(uintptr(p)))
}

// spinInHandler says that it is there, and spins until it is released.
func spinInHandler() []byte {
	return slices.Concat(
		[]byte{0x48, 0xB8}, imm64(unsafe.Pointer(&cHandler)), // MOVQ $cHandler, AX
		[]byte{0xC7, 0x00, 1, 0, 0, 0}, // MOVL $1, 0(AX)
		[]byte{0xF3, 0x90},             // PAUSE
		[]byte{0x83, 0x78, 4, 0},       // CMPL $0, 4(AX)
		[]byte{0x74, 0xF8},             // JEQ back to PAUSE
		[]byte{0xC3},                   // RET
	)
}

// unblockAndSpin takes all signals again before.
func unblockAndSpin() []byte {
	return slices.Concat(
		[]byte{0xB8, 14, 0, 0, 0},                                 // MOVL $SYS_rt_sigprocmask, AX
		[]byte{0xBF, 2, 0, 0, 0},                                  // MOVL $SIG_SETMASK, DI
		[]byte{0x48, 0xBE}, imm64(unsafe.Pointer(&cHandler.none)), // MOVQ $none, SI
		[]byte{0x31, 0xD2},             // XORL DX, DX
		[]byte{0x41, 0xBA, 8, 0, 0, 0}, // MOVL $8, R10
		[]byte{0x0F, 0x05},             // SYSCALL
		spinInHandler(),
	)
}

// napInHandler sleeps until it is released.
func napInHandler() []byte {
	return slices.Concat(
		[]byte{0x48, 0xB8}, imm64(unsafe.Pointer(&cHandler)), // MOVQ $cHandler, AX
		[]byte{0xC7, 0x00, 1, 0, 0, 0}, // MOVL $1, 0(AX)
		// again:
		[]byte{0xB8, 35, 0, 0, 0},                                // MOVL $SYS_nanosleep, AX
		[]byte{0x48, 0xBF}, imm64(unsafe.Pointer(&cHandler.nap)), // MOVQ $nap, DI
		[]byte{0x31, 0xF6},                                   // XORL SI, SI
		[]byte{0x0F, 0x05},                                   // SYSCALL
		[]byte{0x48, 0xB8}, imm64(unsafe.Pointer(&cHandler)), // MOVQ $cHandler, AX
		[]byte{0x83, 0x78, 4, 0}, // CMPL $0, 4(AX)
		[]byte{0x74, 0xDD},       // JEQ again
		[]byte{0xC3},             // RET
	)
}

// take makes code the handler of SIGUSR2, which blocks nothing else.
func take(t *testing.T, entry uintptr, flags uint64) {
	t.Helper()
	var a sigaction
	err := rtSigaction(unix.SIGURG, nil, &a) // for the restorer
	if err == nil {
		err = rtSigaction(unix.SIGUSR2, &sigaction{handler: entry, flags: saWanted | flags, restorer: a.restorer}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func await(flag *atomic.Uint32) {
	for flag.Load() == 0 {
		runtime.Gosched()
	}
}

// interrupted has a thread in a stub, and a handler on top of it, which prepare may have
// made ready on the thread. No round may be over before both have left.
func interrupted(t *testing.T, handler []byte, prepare func()) {
	twoThreads(t)
	cHandler.entered.Store(0)
	cHandler.release.Store(0)
	cHandler.nap = [2]uint64{0, 200_000_000}
	a, b := page(t), page(t)
	spin := fn(put1(t, a, spinner))
	take(t, put1(t, b, handler), 0)
	sc := scene(t, a)
	var m memory
	var tid atomic.Int32
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		prepare()
		tid.Store(int32(unix.Gettid()))
		spin(&m)
		close(done)
	}()
	await(&m.entered)
	if err := unix.Tgkill(os.Getpid(), int(tid.Load()), unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	await(&cHandler.entered)
	for range 5 {
		if err := Round(sc); !errors.Is(err, ErrUnseen) {
			t.Errorf("in a handler on top of a stub: %v", err)
		}
	}
	cHandler.release.Store(1)
	if err := Round(sc); !errors.Is(err, ErrUnseen) {
		t.Errorf("back in the stub: %v", err)
	}
	m.release.Store(1)
	<-done
	mustBeOver(t, sc)
}

func nothing() {}

// TestHandlerSpins: told by its mask and by its stack.
func TestHandlerSpins(t *testing.T) {
	if inChild(t) {
		interrupted(t, spinInHandler(), nothing)
	}
}

// TestHandlerUnblocks: told by its stack alone.
func TestHandlerUnblocks(t *testing.T) {
	if inChild(t) {
		interrupted(t, unblockAndSpin(), nothing)
	}
}

// TestHandlerWaits: told by the mask that /proc shows.
func TestHandlerWaits(t *testing.T) {
	if inChild(t) {
		interrupted(t, napInHandler(), nothing)
	}
}

// TestHandlerWithoutStack: SS_AUTODISARM takes the signal stack away while a handler runs,
// so the handler is told by its mask alone. (Go's own handlers cannot run then.)
func TestHandlerWithoutStack(t *testing.T) {
	if !inChild(t, "GODEBUG=asyncpreemptoff=1") {
		return
	}
	mem, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	interrupted(t, spinInHandler(), func() {
		st := struct {
			sp    unsafe.Pointer
			flags uint32
			size  uintptr
		}{unsafe.Pointer(&mem[0]), 1 << 31, uintptr(len(mem))}
		if _, _, errno := unix.RawSyscall(unix.SYS_SIGALTSTACK, uintptr(unsafe.Pointer(&st)), 0, 0); errno != 0 {
			t.Error(errno)
		}
	})
}

// TestHandlerOutOfSight: there are no rounds where a handler cannot be told.
func TestHandlerOutOfSight(t *testing.T) {
	if !inChild(t) {
		return
	}
	a := page(t)
	take(t, put1(t, a, spinInHandler()), saNodefer)
	if err := Round(scene(t, a)); !errors.Is(err, ErrUnable) {
		t.Error(err)
	}
}

// TestChain: what the program does with SIGURG goes on, Go's preemption too.
func TestChain(t *testing.T) {
	if !inChild(t) {
		return
	}
	a := page(t)
	sc := scene(t, a)
	mustBeOver(t, sc)
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGURG)
	_ = syscall.Kill(os.Getpid(), syscall.SIGURG)
	<-c
	signal.Ignore(syscall.SIGURG)
	if err := Round(sc); !errors.Is(err, ErrUnable) {
		t.Errorf("ignored: %v", err)
	}
	signal.Notify(c, syscall.SIGURG) // puts the runtime's handler back
	mustBeOver(t, sc)
	signal.Stop(c)
	mustBeOver(t, sc)
	var stop atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for n := 0; ; n++ { // nothing but a signal stops it
				if n < 0 && stop.Load() {
					return
				}
			}
		}()
	}
	start := time.Now()
	runtime.GC()
	if err := Round(sc); err != nil && !errors.Is(err, ErrUnseen) {
		t.Error(err)
	}
	runtime.GC()
	t.Logf("two collections took %v", time.Since(start))
}
