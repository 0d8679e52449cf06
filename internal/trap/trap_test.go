//go:build linux && amd64 && !race

package trap

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// install takes all of memory as text: these tests trap in the test's own code.
func install(t *testing.T) {
	t.Helper()
	if err := Install(0, ^uintptr(0)); err != nil {
		t.Fatal(err)
	}
}

func TestOffsets(t *testing.T) {
	// struct kernel_sigaction has no padding on amd64.
	if n := unsafe.Sizeof(sigaction{}); n != 32 {
		t.Errorf("sigaction has %d bytes, the kernel's has 32", n)
	}
	if n := unsafe.Sizeof(shard{}); n != 64 {
		t.Errorf("a shard has %d bytes; a cache line has 64", n)
	}
	if n := unsafe.Sizeof(Entry{}); n != 64 {
		t.Errorf("an entry has %d bytes, expected 64", n)
	}
}

func TestSelfTest(t *testing.T) {
	install(t)
	before := Counters()
	if err := SelfTest(); err != nil {
		t.Fatal(err)
	}
	if got := Counters().Hits - before.Hits; got != 2 {
		t.Errorf("%d hits, expected 2", got)
	}
}

// TestSlots pins the offsets that the entries carry. That they are the kernel's
// is shown on hardware by the int3 hammer, whose sites write many registers.
func TestSlots(t *testing.T) {
	// arch/x86/include/uapi/asm/sigcontext.h, struct sigcontext_64, in a
	// ucontext at 40: r8..r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags.
	names := []string{"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15", "DI", "SI", "BP", "BX", "DX", "AX", "CX", "SP", "IP", "FLAGS"}
	offset := map[string]uintptr{}
	for i, name := range names {
		offset[name] = uintptr(40 + 8*i)
	}
	for i, name := range []string{"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"} {
		if Slot(uint8(i)) != offset[name] {
			t.Errorf("slot of %s is %d, expected %d", name, Slot(uint8(i)), offset[name])
		}
	}
	if ripOffset != offset["IP"] || rspOffset != offset["SP"] || flagsOffset != offset["FLAGS"] {
		t.Errorf("RIP at %d, flags at %d, expected %d and %d", ripOffset, flagsOffset, offset["IP"], offset["FLAGS"])
	}
}

// TestPublishRefuses: an unsorted or oversized vector would lose traps.
func TestPublishRefuses(t *testing.T) {
	if err := Publish([]Entry{{Addr: 2}, {Addr: 1}}); err == nil {
		t.Error("unsorted vector accepted")
	}
	if err := Publish([]Entry{{Addr: 2}, {Addr: 2}}); err == nil {
		t.Error("double entry accepted")
	}
	if err := Publish(make([]Entry, VectorMax+1)); err == nil {
		t.Error("vector over its size accepted")
	}
}

// TestSearch traps with vectors of every size, the site at every place in them.
func TestSearch(t *testing.T) {
	install(t)
	at := probeAddr()
	for _, n := range []int{1, 2, 3, 4, 7, 56, 57, VectorMax} {
		for _, place := range []int{0, n / 2, n - 1} {
			var es []Entry
			for i := range n {
				es = append(es, Entry{Addr: at + uintptr(i-place), Resume: 1, Slot: NoSlot})
			}
			es[place] = Entry{Addr: at, Resume: at + probeLen, Slot: Slot(regBX), Value: uint64(n), FlagsClear: flagZF}
			if err := Publish(es); err != nil {
				t.Fatal(err)
			}
			zf, bx := probe()
			Retire()
			if zf != 0 || bx != uint64(n) {
				t.Fatalf("%d entries, site at %d: ZF=%d BX=%d", n, place, zf, bx)
			}
		}
	}
}

// TestChangingVector lets threads trap while the vector is published over and
// over. All versions of it lead the probe on, with different values: a thread
// may see any of them, but never a mixture of two.
func TestChangingVector(t *testing.T) {
	install(t)
	at := probeAddr()
	vectors := make([][]Entry, 2)
	for v := range vectors {
		for i := range VectorMax {
			vectors[v] = append(vectors[v], Entry{Addr: at + uintptr(i-v*(VectorMax-1)), Resume: 1, Slot: NoSlot})
		}
		vectors[v][v*(VectorMax-1)] = Entry{Addr: at, Resume: at + probeLen, Slot: Slot(regBX), Value: uint64(v + 1), FlagsClear: flagZF}
	}
	publishNth := func(n int) {
		if err := Publish(vectors[n%2]); err != nil {
			t.Error(err)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))) // publisher and prober at once
	publishNth(0)
	before := Counters()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if zf, bx := probe(); zf != 0 || bx != 1 && bx != 2 {
					t.Errorf("ZF=%d BX=%d", zf, bx)
					return
				}
			}
		})
	}
	var c Counts
	for n, deadline := 0, time.Now().Add(20*time.Second); time.Now().Before(deadline); n++ {
		publishNth(n)
		if c = Counters(); c.Hits-before.Hits > 10_000 && c.Retried-before.Retried > 100 {
			break
		}
	}
	close(stop)
	wg.Wait()
	Retire()
	t.Logf("hits %d, retried %d, late %d", c.Hits-before.Hits, c.Retried-before.Retried, c.Late-before.Late)
	if c.Hits == before.Hits || c.Retried == before.Retried {
		t.Error("no thread trapped, or none while the vector changed")
	}
}

// crash runs this test binary again as the named program and returns its output.
func crash(t *testing.T, name string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TRAP_TEST_PROGRAM="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestMain(m *testing.M) {
	if p := programs[os.Getenv("TRAP_TEST_PROGRAM")]; p != nil {
		if err := Install(0, ^uintptr(0)); err != nil {
			println(err.Error())
			os.Exit(3)
		}
		p()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var programs = map[string]func(){
	// H5: an unknown CC that stays is somebody else's; Go's handler says SIGTRAP.
	"foreign": func() { runtime.Breakpoint() },
	// The self-test's trap byte, not recognized: the program must live.
	"unrecognized": func() {
		textLo, textHi = 0, 1
		if err := SelfTest(); err != nil {
			println("found out:", err.Error())
		}
	},
	// H1: a SIGTRAP that is no trap must not move the thread.
	"kill": func() {
		runtime.LockOSThread()
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), syscall.SIGTRAP)
	},
	// Notify for every signal must leave our handler alone.
	"notify": func() {
		c := make(chan os.Signal, 8)
		signal.Notify(c)
		if err := Check(); err != nil {
			println(err.Error())
			os.Exit(4)
		}
		if err := SelfTest(); err != nil {
			println(err.Error())
			os.Exit(5)
		}
		println("fine")
	},
	// Check must see that the handler was replaced.
	"replaced": func() {
		act := sigaction{handler: chain, flags: saWanted, mask: ^uint64(0)}
		var now sigaction
		_ = rtSigaction(nil, &now)
		act.restorer = now.restorer
		_ = rtSigaction(&act, nil)
		if err := Check(); err != nil {
			println("found out:", err.Error())
		}
	},
}

func TestChaining(t *testing.T) {
	for _, c := range []struct {
		name, want string
		fails      bool
	}{
		{"foreign", "SIGTRAP: trace trap", true},
		{"kill", "SIGTRAP: trace trap", true},
		{"unrecognized", "found out: SIGTRAP handler: self-test", false},
		{"notify", "fine", false},
		{"replaced", "found out:", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := crash(t, c.name)
			if (err != nil) != c.fails || !strings.Contains(out, c.want) {
				t.Errorf("exit %v, expected failure %v and %q in:\n%s", err, c.fails, c.want, out)
			}
		})
	}
}

func BenchmarkTrap(b *testing.B) {
	if err := Install(0, ^uintptr(0)); err != nil {
		b.Fatal(err)
	}
	at := probeAddr()
	_ = Publish([]Entry{{Addr: at, Resume: at + probeLen, Slot: Slot(regBX), Value: 7, FlagsClear: flagZF}})
	for b.Loop() {
		probe()
	}
	Retire()
}
