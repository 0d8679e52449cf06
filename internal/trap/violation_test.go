//go:build linux && amd64 && !race

package trap

import (
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// isolatedThread is what the handler knows of package deferral's contexts.
type isolatedThread struct {
	word, violations, violated atomic.Uint64
	_                          uint64
	tid                        atomic.Int32
	_                          [64]byte
}

func TestContextOffsets(t *testing.T) {
	var c isolatedThread
	if unsafe.Offsetof(c.word) != ContextWord || unsafe.Offsetof(c.violations) != ContextViolations ||
		unsafe.Offsetof(c.violated) != ContextViolated || unsafe.Offsetof(c.tid) != ContextTID {
		t.Error("the contexts of the tests are not those of the handler")
	}
}

// TestViolation: a trap that should not have been is counted for the thread that took it, not
// for the CPU.
func TestViolation(t *testing.T) {
	install(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self := int32(unix.Gettid())
	const user, kernel = 1, 0
	for _, c := range []struct {
		name    string
		state   uint64
		tid     int32
		allowed uint64
		counted uint64
	}{
		{"isolated", user, self, 0, 1},
		{"an ordinary thread on the CPU", user, self + 1, 0, 0},
		{"nobody's context", user, 0, 0, 0},
		{"back", kernel, self, 0, 0},
		{"a site that it may run", user, self, 1, 0},
	} {
		n, at := violations(t, c.state, c.tid, c.allowed)
		if n != 100*c.counted || (at == uint64(probeAddr())) != (c.counted > 0) {
			t.Errorf("%s: %d violations in 100 traps, the last at %#x; the site is at %#x", c.name, n, at, probeAddr())
		}
	}
}

// violations takes 100 traps while each CPU has a context like that.
func violations(t *testing.T, state uint64, tid int32, allowed uint64) (n, at uint64) {
	t.Helper()
	all := new([256]isolatedThread) // by CPU: the thread may move
	for i := range all {
		all[i].word.Store(state)
		all[i].tid.Store(tid)
	}
	Watch(unsafe.Pointer(all), len(all), unsafe.Sizeof(all[0]))
	defer Watch(nil, 0, 0)
	site := probeAddr()
	en := Entry{Addr: site, Resume: site + probeLen, Slot: Slot(regBX), Value: 7, FlagsClear: flagZF, Allowed: allowed}
	if err := Publish([]Entry{en}); err != nil {
		t.Fatal(err)
	}
	defer Retire()
	for range 100 {
		if zf, bx := probe(); zf != 0 || bx != 7 {
			t.Fatalf("ZF=%d BX=%#x", zf, bx)
		}
	}
	for i := range all {
		n += all[i].violations.Load()
		at = max(at, all[i].violated.Load())
	}
	return n, at
}
