//go:build linux && amd64 && !race

package visit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/internal/arena"
	"github.com/quietpatch/quietpatch/internal/self"
)

// inChild runs the test in a process of its own, which may crash, hang or be stopped. It
// returns true there.
func inChild(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "VISIT_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=40s", fmt.Sprintf("-test.short=%v", testing.Short()))
	cmd.Env = append(append(os.Environ(), mark+"="+t.Name()), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("child: %v", err)
	}
	return false
}

// memory is what stubs read and write. A variable of the package does not move.
type memory struct {
	entered atomic.Uint32 // at 0
	release atomic.Uint32 // at 4
	n       uint64        // at 8: rounds to spin
}

// spinner enters and stays until it is released.
var spinner = []byte{
	0xC7, 0x00, 1, 0, 0, 0, // MOVL $1, 0(AX)
	0xF3, 0x90, // PAUSE
	0x83, 0x78, 4, 0, // CMPL $0, 4(AX)
	0x74, 0xF8, // JEQ back to PAUSE
	0x31, 0xC0, // XORL AX, AX
	0xC3, // RET
}

// reader reads the data at DX n times. It returns 0 if that stayed as expected.
var reader = []byte{
	0x48, 0x8B, 0x48, 8, // MOVQ 8(AX), CX
	0x81, 0x3A, 0x0D, 0x60, 0x0D, 0x60, // CMPL $expected, (DX)
	0x75, 0x08, // JNE wrong
	0x48, 0xFF, 0xC9, // DECQ CX
	0x75, 0xF3, // JNE back to CMPL
	0x31, 0xC0, // XORL AX, AX
	0xC3,                // RET
	0xB8, 0x01, 0, 0, 0, // wrong: MOVL $1, AX
	0xC3, // RET
}

const expected = 0x600D600D

// page is an arena for the code of one test.
func page(t testing.TB) *arena.Arena {
	t.Helper()
	pc := reflect.ValueOf(page).Pointer()
	a, err := arena.Open(pc, pc+1)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func put1(t testing.TB, a *arena.Arena, code []byte) uintptr {
	t.Helper()
	at, err := a.Alloc(len(code))
	if err == nil {
		err = a.Write(at, code)
	}
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// fn makes a func value of code: a pointer to a word that holds its address. An argument
// comes in AX, a result goes there (abi-internal.md).
func fn(at uintptr) func(*memory) uint64 {
	p := new(uintptr)
	*p = at
	return *(*func(*memory) uint64)(unsafe.Pointer(&p))
}

// scene has nobody isolated.
func scene(t testing.TB, a *arena.Arena) Scene {
	t.Helper()
	img, err := self.Load()
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := img.Range()
	s := a.Stats()
	return Scene{
		Stubs:    Range{s.Base, s.Base + s.ReservedBytes},
		Text:     Range{lo, hi},
		Isolated: func(int) (bool, bool) { return false, false },
		Ordinary: func(_ int, f func()) { f() },
	}
}

// twoThreads makes sure that one goroutine can be in a stub while another runs, and that
// nobody stops the world.
func twoThreads(t testing.TB) {
	procs := runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	was := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(was); runtime.GOMAXPROCS(procs) })
}

// mustBeOver makes rounds until one is over: on a busy machine a thread may not run in time.
func mustBeOver(t testing.TB, sc Scene) {
	t.Helper()
	var err error
	for range 20 {
		if err = Round(sc); err == nil {
			return
		}
		if !errors.Is(err, ErrUnseen) {
			break
		}
	}
	t.Error(err)
}

// TestInside: a thread in a stub holds the round up, however often it is asked.
func TestInside(t *testing.T) {
	if !inChild(t) {
		return
	}
	twoThreads(t)
	a := page(t)
	spin := fn(put1(t, a, spinner))
	sc := scene(t, a)
	mustBeOver(t, sc)
	for i := range 10 {
		m := new(memory)
		done := make(chan bool)
		go func() { spin(m); close(done) }()
		for m.entered.Load() == 0 {
			runtime.Gosched()
		}
		before := Signals()
		if err := Round(sc); !errors.Is(err, ErrUnseen) {
			t.Errorf("%d: with a thread inside: %v", i, err)
		}
		if Signals() == before {
			t.Error("no thread was asked")
		}
		if i%2 == 0 { // inside when the round begins, not at its end
			time.AfterFunc(20*time.Millisecond, func() { m.release.Store(1) })
			if err := Round(sc); err == nil && m.release.Load() == 0 {
				t.Error("over, with the thread inside")
			}
		}
		m.release.Store(1)
		<-done
		mustBeOver(t, sc)
	}
}

// TestWaiting: threads that wait in system calls are not disturbed, and do not hold
// anything up.
func TestWaiting(t *testing.T) {
	if !inChild(t) {
		return
	}
	twoThreads(t)
	a := page(t)
	sc := scene(t, a)
	mustBeOver(t, sc)
	const long = 1500 * time.Millisecond
	calls := map[string]func() error{
		"nanosleep": func() error {
			ts := unix.NsecToTimespec(int64(long))
			return unix.Nanosleep(&ts, nil)
		},
		"epoll_wait": func() error {
			fd, err := unix.EpollCreate1(0)
			if err == nil {
				_, err = unix.EpollWait(fd, make([]unix.EpollEvent, 1), int(long.Milliseconds()))
			}
			return err
		},
	}
	results := make(chan error, 16)
	for _, call := range calls {
		for range 4 {
			go func() {
				runtime.LockOSThread()
				results <- call()
			}()
		}
	}
	time.Sleep(100 * time.Millisecond)
	for start, n := time.Now(), 0; time.Since(start) < 500*time.Millisecond; n++ {
		if err := Round(sc); err != nil && !errors.Is(err, ErrUnseen) {
			t.Fatal(err)
		}
	}
	if len(results) > 0 {
		t.Error("a call has returned early")
	}
	for range 4 * len(calls) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	mustBeOver(t, sc)
}

// block blocks signals on the calling thread.
func block(set uint64) {
	s := unix.Sigset_t{Val: [16]uint64{set}}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &s, nil)
}

// TestIsolated: an isolated thread that runs gets no signal, blocked or not, and is not
// waited for once its word has moved; one that blocks the signal and is not known to be isolated is.
func TestIsolated(t *testing.T) {
	if !inChild(t, "GODEBUG=asyncpreemptoff=1") { // all SIGURGs are ours
		return
	}
	twoThreads(t)
	a := page(t)
	b := page(t) // not in the scene: where isolated threads run
	spin := fn(put1(t, b, spinner))
	sc := scene(t, a)
	for _, mask := range []uint64{0, urgBit, ^uint64(0)} {
		m := new(memory)
		var tid atomic.Int32
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer close(done)
			block(mask)
			tid.Store(int32(unix.Gettid()))
			spin(m)
			block(0)
		}()
		for m.entered.Load() == 0 {
			runtime.Gosched()
		}
		var passed atomic.Bool
		isolated := sc
		isolated.Isolated = func(id int) (bool, bool) { return id == int(tid.Load()), id == int(tid.Load()) && passed.Load() }
		isolated.Ordinary = func(id int, f func()) {
			if id == int(tid.Load()) {
				t.Error("the isolated thread is asked")
			}
			f()
		}
		if err := Round(isolated); !errors.Is(err, ErrUnseen) || !strings.Contains(err.Error(), "busy in KERNEL") {
			t.Errorf("mask %#x: in Kernel all the time: %v", mask, err)
		}
		passed.Store(true)
		mustBeOver(t, isolated)
		switch err := Round(sc); {
		case mask == 0 && err != nil && !errors.Is(err, ErrUnseen), mask != 0 && !errors.Is(err, ErrUnseen):
			t.Errorf("mask %#x: not isolated: %v", mask, err)
		}
		if pending := readPending(t, int(tid.Load())); mask != 0 && pending&urgBit != 0 {
			t.Errorf("mask %#x: pending signals %#x", mask, pending)
		}
		m.release.Store(1)
		<-done
	}
}

func readPending(t *testing.T, tid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(taskFile(tid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	return field(t, b, "\nSigPnd:", 16)
}

// TestKernelWorker: a thread of io_uring's that polls runs all the time, blocks all signals,
// and is in no stub.
func TestKernelWorker(t *testing.T) {
	if !inChild(t) {
		return
	}
	const setupSqpoll = 1 << 1
	params := [30]uint32{2: setupSqpoll, 4: 10_000} // flags, and how long it polls, in ms (io_uring_setup(2))
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		t.Skip("needs io_uring: ", errno)
	}
	defer unix.Close(int(fd))
	mustBeOver(t, scene(t, page(t)))
	time.Sleep(20 * time.Millisecond) // it waits for the first time by now
	const wakeup = 1 << 1             // or it begins to poll when it has something to do
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, fd, 0, 0, wakeup, 0, 0); errno != 0 {
		t.Skip("needs io_uring: ", errno)
	}
	sc := scene(t, page(t))
	for range 5 {
		mustBeOver(t, sc)
	}
	tids, err := threads()
	if err != nil {
		t.Fatal(err)
	}
	var l looker
	for _, tid := range tids {
		if l.worker(tid) {
			return
		}
	}
	t.Error("no thread of io_uring's is seen")
}
