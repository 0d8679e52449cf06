package stub

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/internal/insn/amd64/exectest"
)

// arena is memory with code in front and data behind it, at a given place.
type arena struct {
	mem      []byte
	base     uint64
	codeSize int
	used     int // of the code
	data     int // of the data
}

// newArena maps an arena at an address, or anywhere if that is 0.
func newArena(t *testing.T, at uintptr, codeSize, dataSize int) *arena {
	t.Helper()
	flags := unix.MAP_PRIVATE | unix.MAP_ANON
	if at != 0 {
		flags |= unix.MAP_FIXED_NOREPLACE
	}
	hint := *(*unsafe.Pointer)(unsafe.Pointer(&at)) // an address that no Go object has
	p, err := unix.MmapPtr(-1, 0, hint, uintptr(codeSize+dataSize), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil || at != 0 && uintptr(p) != at {
		t.Skipf("something else is at %#x: %v", at, err)
	}
	t.Cleanup(func() {
		if err := unix.MunmapPtr(p, uintptr(codeSize+dataSize)); err != nil {
			t.Error(err)
		}
	})
	return &arena{mem: unsafe.Slice((*byte)(p), codeSize+dataSize), base: uint64(uintptr(p)), codeSize: codeSize}
}

// next is where put will place code.
func (a *arena) next() uint64 { return a.base + uint64(a.used) }

func (a *arena) put(t *testing.T, code []byte) (at uint64) {
	t.Helper()
	at = a.next()
	if a.used+len(code) > a.codeSize {
		t.Fatalf("no room for %d bytes of code", len(code))
	}
	copy(a.mem[a.used:], code)
	a.used = (a.used + len(code) + 15) &^ 15
	return at
}

// alloc returns n bytes of data and their address.
func (a *arena) alloc(t *testing.T, n int) ([]byte, uint64) {
	t.Helper()
	off := a.codeSize + a.data
	if off+n > len(a.mem) {
		t.Fatalf("no room for %d bytes of data", n)
	}
	a.data = (a.data + n + LineSize - 1) &^ (LineSize - 1)
	return a.mem[off:][:n], a.base + uint64(off)
}

func (a *arena) seal(t *testing.T) {
	t.Helper()
	if err := unix.Mprotect(a.mem[:a.codeSize], unix.PROT_READ|unix.PROT_EXEC); err != nil {
		t.Fatal(err)
	}
}

// callee puts a function that counts its calls: LOCK INCQ count(RIP); RET.
func (a *arena) callee(t *testing.T) (entry uint64, count []byte) {
	t.Helper()
	count, addr := a.alloc(t, 8)
	code := []byte{0xF0, 0x48, 0xFF, 0x05}
	code = binary.LittleEndian.AppendUint32(code, uint32(addr-(a.next()+8)))
	return a.put(t, append(code, 0xC3)), count
}

// caller calls stubs with all registers set. The vector registers are loaded from
// the data of its page and stored there.
type caller struct {
	page *exectest.Page
	xmm  [256]byte
}

const (
	callerFn  = 0 // the address to call
	callerIn  = 64
	callerOut = callerIn + 256
)

func newCaller(t *testing.T) *caller {
	t.Helper()
	page, err := exectest.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := page.Close(); err != nil {
			t.Error(err)
		}
	})
	var code []byte
	data := func(off int, opcode ...byte) { // an instruction on off(data)
		code = append(code, opcode...)
		code = binary.LittleEndian.AppendUint32(code, uint32(page.DataOffset()+off-len(code)-4))
	}
	for x := range 16 { // MOVUPS
		data(callerIn+16*x, 0x40|byte(x)>>3<<2, 0x0F, 0x10, byte(x)&7<<3|5)
	}
	data(callerFn, 0xFF, 0x15) // CALL
	for x := range 16 {
		data(callerOut+16*x, 0x40|byte(x)>>3<<2, 0x0F, 0x11, byte(x)&7<<3|5)
	}
	if err := page.Seal(code); err != nil {
		t.Fatal(err)
	}
	c := &caller{page: page}
	for i := range c.xmm {
		c.xmm[i] = byte(rand.Uint32())
	}
	copy(page.Data()[callerIn:], c.xmm[:])
	return c
}

// call enters a stub with random registers, but for reg, which is v. It reports
// registers that changed and are not in free.
func (c *caller) call(stub uint64, reg int, v uint64, free ...uint8) (after exectest.State, err error) {
	var in exectest.State
	for i := range in.Reg {
		in.Reg[i] = rand.Uint64()
	}
	in.RFLAGS = rand.Uint64()
	in.Reg[reg] = v
	data := c.page.Data()
	binary.LittleEndian.PutUint64(data[callerFn:], stub)
	clear(data[callerOut:][:256])
	out, err := c.page.Run(in)
	if err != nil {
		return out, err
	}
	if !bytes.Equal(data[callerOut:][:256], c.xmm[:]) {
		return out, fmt.Errorf("vector registers are % x, want % x", data[callerOut:][:256], c.xmm)
	}
	for i := range in.Reg {
		if in.Reg[i] != out.Reg[i] && i != regSP && !bytes.Contains(free, []byte{byte(i)}) {
			return out, fmt.Errorf("%s is %#x, want %#x", registerNames[i], out.Reg[i], in.Reg[i])
		}
	}
	return out, nil
}

// The places that matter: all below 2^31, around it, and far above.
var places = []struct {
	name string
	at   uintptr
}{
	{"low", 0x5000_0000},
	{"around 2^31", 1<<31 - 0x4000},
	{"high", 0},
}

func hasRDPID() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && strings.Contains(string(b), " rdpid")
}

// pin keeps the test on one CPU and returns its number.
func pin(t *testing.T) uint64 {
	t.Helper()
	var old unix.CPUSet
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	last := -1
	for cpu := range MaxCPUs {
		if old.IsSet(cpu) {
			last = cpu
		}
	}
	var one unix.CPUSet
	one.Set(last)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Skipf("the thread cannot be kept on CPU %d: %v", last, err)
	}
	t.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &old); err != nil {
			t.Error(err)
		}
	})
	return uint64(last)
}

// execution is one stub with what it leads to.
type execution struct {
	d     *Dispatch
	at    uint64
	table []byte
}

// executions puts stubs for every register, number of targets and way to count.
func executions(t *testing.T, a *arena, targets []uint64, miss uint64) (all []execution) {
	t.Helper()
	ways := []Count{{}, {CPUs: 1}, {CPUs: 8}, {CPUs: 256}}
	if hasRDPID() {
		ways = append(ways, Count{CPUs: 8, RDPID: true})
	}
	for _, reg := range registers {
		for n := range MaxTargets + 1 {
			for _, w := range ways {
				e := execution{d: &Dispatch{Reg: reg, Targets: targets[:n], Miss: miss}}
				if w.CPUs != 0 {
					e.d.Count = &w
					e.table, w.Table = a.alloc(t, int(w.CPUs)*LineSize)
				}
				e.at = a.put(t, mustCode(t, e.d, a.next()))
				inspect(t, a.mem[e.at-a.base:][:e.d.Len()], e.at, e.d)
				all = append(all, e)
			}
		}
	}
	return all
}

// TestExec runs every stub at every place: calls of each target, of others until the
// slots are full, and of more. Each lands where it should, with all that belongs to
// the callee, and the line of this CPU says so.
func TestExec(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) { testExec(t, place.at) })
	}
}

func testExec(t *testing.T, at uintptr) {
	cpu := pin(t)
	a := newArena(t, at, 1<<17+1<<16, 1<<24)
	counts := map[uint64][]byte{}
	var targets []uint64
	for i := range MaxTargets {
		if i == MaxTargets/2 && at != 0 && at < 1<<31 && at+1<<16 > 1<<31 {
			a.used = int(1<<31 - at) // the other half is above
		}
		entry, count := a.callee(t)
		counts[entry] = count
		targets = append(targets, entry)
	}
	miss, missed := a.callee(t)
	counts[miss] = missed
	all := executions(t, a, targets, miss)
	a.seal(t)
	c := newCaller(t)
	for _, e := range all {
		if err := exec(c, e, counts, cpu); err != nil {
			t.Errorf("%+v at %#x, counting %+v: %v", e.d, e.at, e.d.Count, err)
		}
	}
}

func exec(c *caller, e execution, counts map[uint64][]byte, cpu uint64) error {
	var want Line
	line := int(cpu)
	if e.d.Count != nil {
		line &= int(e.d.Count.CPUs) - 1
	}
	m := machine{mem: e.table}
	tmp, base := e.d.scratch()
	for _, v := range story(e.d.Targets) {
		for _, n := range counts {
			clear(n)
		}
		exit := model(e.d, v, &want)
		if _, err := c.call(e.at, int(e.d.Reg), v, tmp, base); err != nil {
			return fmt.Errorf("call of %#x: %w", v, err)
		}
		for entry, n := range counts {
			if got := binary.LittleEndian.Uint64(n); got != 0 != (entry == exit) || got > 1 {
				return fmt.Errorf("call of %#x: %#x was entered %d times, and %#x was to be", v, entry, got, exit)
			}
		}
		for i := range len(e.table) / LineSize {
			l := Line{}
			if i == line {
				l = want
			}
			if got := m.line(uint64(i)); got != l {
				return fmt.Errorf("call of %#x on CPU %d: line %d is %+v, want %+v", v, cpu, i, got, l)
			}
		}
	}
	return nil
}

// story is what is called: all targets, and more others than there are slots, again
// and again.
func story(targets []uint64) (all []uint64) {
	for round := range 3 {
		for i, t := range targets {
			for range i%2 + 1 {
				all = append(all, t)
			}
		}
		for i := range Slots + 2 - round {
			all = append(all, uint64(0x1000+i), 0xffff_8000_0000_0000+uint64(i*8))
		}
	}
	return all
}

// TestExecClosure: DX is the context, all else is the caller's.
func TestExecClosure(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			a := newArena(t, place.at, 1<<16, 1<<12)
			entry, count := a.callee(t)
			contexts := []uint64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 0xc000012340, 1<<64 - 1<<31, 1<<64 - 1}
			var stubs []uint64
			for _, v := range contexts {
				code, err := Closure(a.next(), v, entry)
				if err != nil {
					t.Fatal(err)
				}
				stubs = append(stubs, a.put(t, code))
			}
			a.seal(t)
			c := newCaller(t)
			for i, v := range contexts {
				out, err := c.call(stubs[i], regDX, 0x5555, regDX)
				if err != nil {
					t.Fatal(err)
				}
				if n := binary.LittleEndian.Uint64(count); out.Reg[regDX] != v || n != uint64(i+1) {
					t.Errorf("context %#x: DX is %#x, entered %d times after %d", v, out.Reg[regDX], n, i+1)
				}
			}
		})
	}
}

// TestExecTogether: threads that count into the same lines at once lose counts at
// most. No call is counted twice, none goes astray.
func TestExecTogether(t *testing.T) {
	const threads, calls = 4, 20000
	a := newArena(t, 0, 1<<16, 1<<16)
	target, hit := a.callee(t)
	miss, missed := a.callee(t)
	d := &Dispatch{Reg: 1, Targets: []uint64{target}, Miss: miss, Count: &Count{CPUs: 1}} // one line for all CPUs
	table, addr := a.alloc(t, LineSize)
	d.Count.Table = addr
	at := a.put(t, mustCode(t, d, a.next()))
	a.seal(t)
	var wg sync.WaitGroup
	for range threads {
		c := newCaller(t)
		wg.Go(func() {
			for i := range calls {
				v := target
				if i%2 == 1 {
					v = uint64(1 + i/2%6)
				}
				if _, err := c.call(at, 1, v, regR12, regR13); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	hits, misses := binary.LittleEndian.Uint64(hit), binary.LittleEndian.Uint64(missed)
	if hits != threads*calls/2 || misses != threads*calls/2 {
		t.Errorf("%d calls of the target and %d of others, want %d of each", hits, misses, threads*calls/2)
	}
	m := machine{mem: table}
	l := m.line(0)
	countedHits, countedMisses := uint64(l.Hit[0]), uint64(l.CatchAll)
	for i, v := range l.Target {
		countedMisses += uint64(l.Miss[i])
		if v == 0 || v > 6 {
			t.Errorf("slot %d has %#x, which nobody called, %d times", i, v, l.Miss[i])
		}
	}
	if countedHits > hits || countedMisses > misses || countedHits == 0 || countedMisses == 0 {
		t.Errorf("counted %d of %d hits and %d of %d misses", countedHits, hits, countedMisses, misses)
	}
	t.Logf("counted %d of %d hits and %d of %d misses", countedHits, hits, countedMisses, misses)
}
