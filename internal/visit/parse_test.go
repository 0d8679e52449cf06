//go:build linux && amd64 && !race

package visit

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func taskFile(tid int, name string) string { return fmt.Sprintf("%s/%d/%s", taskDir, tid, name) }

func field(t *testing.T, b []byte, name string, base int) uint64 {
	t.Helper()
	_, line, found := bytes.Cut(b, []byte(name))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), base, 64)
	if err != nil || !found {
		t.Fatal(name, err)
	}
	return n
}

// TestOffsets pins what the assembly uses (arch/x86/include/uapi/asm/sigcontext.h, struct
// sigcontext_64; include/uapi/asm-generic/ucontext.h and siginfo.h).
func TestOffsets(t *testing.T) {
	var u struct {
		flags, link      uint64
		sp               uintptr
		ssFlags          uint32
		size             uintptr
		r8to15           [8]uint64
		di, si, bp, bx   uint64
		dx, ax, cx, rsp  uint64
		rip, eflags      uint64
		segments         [4]uint16
		err, trap, cr2   uint64
		oldmask, fpstate uint64
		reserved         [8]uint64
		mask             uint64
	}
	var s siginfo
	for _, c := range []struct {
		what      string
		got, want uintptr
	}{
		{"ss_sp", stackOffset, unsafe.Offsetof(u.sp)},
		{"ss_size", stackSizeOffset, unsafe.Offsetof(u.size)},
		{"rsp", rspOffset, unsafe.Offsetof(u.rsp)},
		{"rip", ripOffset, unsafe.Offsetof(u.rip)},
		{"uc_sigmask", maskOffset, unsafe.Offsetof(u.mask)},
		{"si_code", codeOffset, unsafe.Offsetof(s.code)},
		{"si_value", valueOffset, unsafe.Offsetof(s.value)},
		{"size of siginfo", unsafe.Sizeof(s), 128},
		{"size of sigaction", unsafe.Sizeof(sigaction{}), 32},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, expected %d", c.what, c.got, c.want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const good = "Name:\tSigBlk:\nState:\tS (sleeping)\nTracerPid:\t7\nSigBlk:\tfffffffe7ffbfeff\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t34\n"
	s, err := parseStatus([]byte(good))
	if want := (status{'S', 7, 0xfffffffe7ffbfeff, [2]uint64{12, 34}}); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	for _, drop := range strings.SplitAfter(good, "\n")[1:6] {
		if _, err := parseStatus([]byte(strings.Replace(good, drop, "", 1))); err == nil {
			t.Errorf("accepted without %q", drop)
		}
	}
	for _, wrong := range []string{"12", "fffffffe7ffbfeff", "S (sleeping)", "34"} {
		if _, err := parseStatus([]byte(strings.Replace(good, wrong, "", 1))); err == nil {
			t.Errorf("accepted without %q", wrong)
		}
	}
	var l looker
	f, err := l.open(os.Getpid(), "status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if _, err := l.status(f); err != nil {
		t.Error("this kernel's:", err)
	}
}

func TestParseSyscall(t *testing.T) {
	for _, c := range []struct {
		line    string
		want    sight
		running bool
		fails   bool
	}{
		{line: "running\n", running: true},
		{line: "-1 0x7ffd 0x401000\n", want: sight{call: -1, sp: 0x7ffd, pc: 0x401000}},
		{line: "202 0x1 0x2 0x3 0x4 0x5 0x6 0xc000 0x46f003\n", want: sight{call: 202, sp: 0xc000, pc: 0x46f003}},
		{line: "0\n", fails: true},
		{line: "", fails: true},
		{line: "202 1 2\n", want: sight{call: 202, sp: 1, pc: 2}},
		{line: "-1 0x7ffd pc\n", fails: true},
	} {
		s, running, err := parseSyscall([]byte(c.line))
		if (err != nil) != c.fails || err == nil && (s != c.want || running != c.running) {
			t.Errorf("%q: %+v, %v, %v", c.line, s, running, err)
		}
	}
}

func TestOutside(t *testing.T) {
	sc := &Scene{Stubs: Range{0x1000, 0x2000}, Text: Range{0x400000, 0x500000}}
	const all = ^uint64(0) &^ (1<<8 | 1<<18) // what the kernel makes of it
	goHandlers := []handler{{0x450000, all}}
	foreign := append(slices.Clone(goHandlers), handler{0x7f0000, 1 << 33})
	for _, c := range []struct {
		what string
		s    sight
		h    []handler
		want bool
	}{
		{"waits in Go", sight{202, 0xc000, 0x430000, 0}, goHandlers, true},
		{"in a stub, by a page fault", sight{-1, 0xc000, 0x1000, 0}, goHandlers, false},
		{"at the end of the stubs", sight{-1, 0xc000, 0x1fff, 0}, goHandlers, false},
		{"behind the stubs", sight{-1, 0xc000, 0x2000, 0}, goHandlers, true},
		{"in a Go handler, page fault", sight{-1, 0xc000, 0x430000, all}, goHandlers, false},
		{"in a Go handler, system call", sight{1, 0xc000, 0x430000, all}, goHandlers, false},
		{"in a Go handler, by the vDSO", sight{sysClockGettime, 0xc000, 0x7fff0000, all}, goHandlers, false},
		{"page fault of C that blocks all", sight{-1, 0xc000, 0x7f1000, all}, goHandlers, false},
		{"C that blocks all waits", sight{202, 0xc000, 0x7f1000, all}, goHandlers, true},
		{"the same where a C handler is", sight{202, 0xc000, 0x7f1000, all}, foreign, false},
		{"blocks what a C handler blocks", sight{202, 0xc000, 0x7f1000, 1 << 33}, foreign, false},
		{"blocks something else", sight{202, 0xc000, 0x7f1000, 1 << 32}, foreign, true},
		{"sigreturn", sight{sysSigreturn, 0xc000, 0x7f1000, 0}, goHandlers, false},
		{"first instruction of a handler", sight{-1, 0xc000, 0x450000, 0}, goHandlers, false},
		{"worker of the kernel", sight{0, 0, 0, all}, goHandlers, true},
	} {
		if got := outside(c.s, sc, c.h); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// TestHandlers: the table has Go's handlers and ours, which block all that can be blocked.
func TestHandlers(t *testing.T) {
	if err := install(); err != nil {
		t.Fatal(err)
	}
	hs, err := handlersNow()
	if err != nil {
		t.Fatal(err)
	}
	const all = ^uint64(0) &^ (1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))
	ours := 0
	for _, h := range hs {
		if h.blocks == all {
			ours++
		}
	}
	if ours < 2 || !slices.Contains(hs, handler{urgHandlerAddr(), all}) || !slices.Contains(hs, handler{chain, all}) {
		t.Errorf("%x", hs)
	}
}

func TestNamespaceAndThreads(t *testing.T) {
	if err := sameNamespace(); err != nil {
		t.Error(err)
	}
	tids, err := threads()
	if err != nil || !slices.Contains(tids, os.Getpid()) || !slices.IsSorted(tids) {
		t.Errorf("%v, %v", tids, err)
	}
}

// TestOneMoment: registers and mask are of one stay in the kernel. A thread sleeps by one
// system call with a signal blocked, and by another without.
func TestOneMoment(t *testing.T) {
	const clockNanosleep = 230
	var stop atomic.Bool
	tid := make(chan int)
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		tid <- unix.Gettid()
		for n := 0; !stop.Load(); n++ {
			ts := unix.NsecToTimespec(int64(n%20) * 20_000)
			block(urgBit)
			_ = unix.Nanosleep(&ts, nil)
			block(0)
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
		}
	}()
	var l looker
	var kinds [unknown + 1]int
	id := <-tid
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		k, s, err := l.look(id)
		if err != nil {
			t.Fatal(err)
		}
		kinds[k]++
		if k == waits && (s.call == clockNanosleep && s.blocked&urgBit != 0 || s.call == unix.SYS_NANOSLEEP && s.blocked&urgBit == 0) {
			t.Fatalf("registers and mask of different stays: call %d, blocks %#x", s.call, s.blocked)
		}
	}
	stop.Store(true)
	<-done
	if kinds[waits] < 10 || kinds[gone] > 0 {
		t.Errorf("looks that found the thread waiting: %d; all: %v", kinds[waits], kinds)
	}
	t.Log(kinds)
}
