//go:build linux && amd64

package arena

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// TestPlaces: where an arena would go, best first.
func TestPlaces(t *testing.T) {
	const pie = 0x555555554000
	for name, c := range map[string]struct {
		l      layout
		lo, hi uintptr
		size   uintptr
		want   []uintptr
	}{
		"fixed address": { // below there is too little; as high as rel32 reaches, above the heap
			layout{[]mapping{{4 * mib, 8 * mib, "exe"}}, 9 * mib},
			4 * mib, 6 * mib, 64 * mib,
			[]uintptr{4*mib + reach - 64*mib},
		},
		"fixed address, little wanted": {
			layout{[]mapping{{4 * mib, 8 * mib, "exe"}}, 9 * mib},
			4 * mib, 6 * mib, mib,
			[]uintptr{3 * mib, 4*mib + reach - mib, 8 * mib},
		},
		"heap far above the bss": { // between them nothing grows, but it is second best
			layout{[]mapping{{4 * mib, 8 * mib, "exe"}}, 700 * mib},
			4 * mib, 6 * mib, 64 * mib,
			[]uintptr{4*mib + reach - 64*mib, 700*mib - 64*mib},
		},
		"heap has grown": {
			layout{[]mapping{{4 * mib, 8 * mib, "exe"}, {9 * mib, 1900 * mib, "[heap]"}}, 1900 * mib},
			4 * mib, 6 * mib, 2 * mib,
			[]uintptr{2 * mib},
		},
		"PIE": { // below
			layout{[]mapping{{pie, pie + 4*mib, "exe"}}, pie + 5*mib},
			pie, pie + 2*mib, 64 * mib,
			[]uintptr{(pie - 64*mib) &^ (chunkBytes - 1), (pie + reach - 64*mib) &^ (chunkBytes - 1)},
		},
		"stack": { // not where it grows
			layout{[]mapping{{gib, gib + mib, "exe"}, {2 * gib, 3*gib + 512*mib, "[stack]"}}, 0},
			gib, gib + mib, 64 * mib,
			[]uintptr{gib - 64*mib},
		},
		"several": { // from the text down, then from the end of its reach down
			layout{[]mapping{{gib, gib + mib, ""}, {2 * gib, 2*gib + mib, "exe"}, {3 * gib, 3*gib + mib, ""}}, 0},
			2 * gib, 2*gib + mib, 16 * mib,
			[]uintptr{2*gib - 16*mib, gib - 16*mib, 4*gib - 17*mib, 3*gib - 16*mib},
		},
		"holes too small": {
			layout{[]mapping{{0, gib - 200*kib, ""}, {gib - 100*kib, gib + mib, "exe"}, {gib + 40*mib, 4 * gib, ""}}, 8 * mib},
			gib, gib + mib, 64 * mib, nil,
		},
		"end of user addresses": {
			layout{[]mapping{{highest - gib, highest - 10*mib, "exe"}}, gib},
			highest - gib, highest - gib + mib, 8 * mib,
			[]uintptr{(highest - gib - 8*mib) &^ (chunkBytes - 1), highest - 8*mib},
		},
	} {
		if got := c.l.places(c.lo, c.hi, c.size); !slices.Equal(got, c.want) {
			t.Errorf("%s: places %#x, expected %#x", name, got, c.want)
		}
	}
}

// TestPlacesRandom: whatever is mapped, a place is free, within reach, and far
// from the heap's way.
func TestPlacesRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 20_000 {
		lo := uintptr(rng.Uint64N(8*gib))&^4095 + 64*kib
		hi := lo + uintptr(1+rng.Uint64N(gib))
		var l layout
		at := uintptr(0)
		for range rng.IntN(12) {
			at += uintptr(rng.Uint64N(2*gib)) &^ 4095
			m := mapping{start: at, end: at + uintptr(4096+rng.Uint64N(gib)&^4095)}
			l.maps = append(l.maps, m)
			at = m.end
		}
		l.brk = uintptr(rng.Uint64N(8 * gib))
		size := uintptr(reserveMax) >> rng.IntN(7)
		for _, p := range l.places(lo, hi, size) {
			found++
			if p%chunkBytes != 0 || int64(p)-int64(hi) < -1<<31 || int64(p+size)-int64(lo) >= 1<<31 || p < 64*kib {
				t.Fatalf("%#x is out of reach of [%#x, %#x)", p, lo, hi)
			}
			if p < l.brk+brkRoom && l.brk < p+size {
				t.Fatalf("%#x is in the way of the heap at %#x", p, l.brk)
			}
			for _, m := range l.maps {
				if p < m.end && m.start < p+size {
					t.Fatalf("%#x overlaps %+v", p, m)
				}
			}
		}
	}
	if found < 10_000 {
		t.Errorf("only %d places", found)
	}
}

// TestNoRoom: the error says what was looked for.
func TestNoRoom(t *testing.T) {
	_, err := Open(highest+gib, highest+8*gib)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "expected a text of less than") {
		t.Errorf("text too large: %v", err)
	}
	_, err = Open(1<<50, 1<<50+mib)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "down to 1048576 free bytes in [0x3ffff80200000, 0x7fffffff0000)") {
		t.Errorf("no such addresses: %v", err)
	}
}

// TestSmaller: where 64 MiB are not free, less is taken.
func TestSmaller(t *testing.T) {
	lo, hi := text()
	from, to := window(lo, hi)
	l, err := readLayout(hi)
	if err != nil {
		t.Fatal(err)
	}
	var filled []region
	defer func() {
		for _, r := range filled {
			if err := r.close(); err != nil {
				t.Error(err)
			}
		}
	}()
	for size := uintptr(gib); size >= 4*mib; size /= 2 { // leaves holes under 8 MiB
		for again := true; again; {
			again = false
			for _, at := range l.places(lo, hi, size) {
				r := region{at, size}
				if r.reserve() == nil {
					filled, again = append(filled, r), true
				}
			}
			if l, err = readLayout(hi); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, err := Open(lo, hi)
	if err != nil {
		t.Fatalf("in [%#x, %#x): %v", from, to, err)
	}
	if s := a.Stats(); s.ReservedBytes >= 8*mib {
		t.Errorf("stats %+v", s)
	}
	b, err := open(lo, hi, newProcmem) // a second one in what is left, or a clear error
	if err == nil {
		err = b.Close()
	} else if errors.Is(err, ErrNoRoom) {
		err = nil
	}
	if err := errors.Join(err, a.Close()); err != nil {
		t.Error(err)
	}
}

// TestReserveTaken: nothing that is mapped already is lost.
func TestReserveTaken(t *testing.T) {
	lo, hi := text()
	a, err := Open(lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	at, err := a.Alloc(8)
	if err == nil {
		err = a.Write(at, returns(5))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := (region{a.base, chunkBytes}).reserve(); err == nil {
		t.Error("reserved what was in use")
	}
	if l, ok := mapped(t, at); !ok || l.perms != "r-xs" {
		t.Fatalf("in use: %s", l.rest)
	}
	if got := run(at); got != 5 {
		t.Errorf("the code returned %d", got)
	}
	if err := errors.Join(a.Free(at), a.Close()); err != nil {
		t.Error(err)
	}
}

// TestHeapEnd compares what we read with what brk(2) says.
func TestHeapEnd(t *testing.T) {
	l, err := readLayout(0)
	if err != nil {
		t.Fatal(err)
	}
	now, _, _ := unix.Syscall(unix.SYS_BRK, 0, 0, 0)
	if l.brk < now || l.brk > roundUp(now, 4096) {
		t.Errorf("the heap ends at %#x, not at %#x", now, l.brk)
	}
}

func TestParse(t *testing.T) {
	m, err := parseMapping("7ffc0000-7ffd1000 rw-p 00000000 00:00 0    [stack]\n")
	if err != nil || m != (mapping{0x7ffc0000, 0x7ffd1000, "[stack]"}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range []string{"", "x", "1-2 r-xp 0 0", "1_2 r-xp 0 0 0", "1-z r-xp 0 0 0", "ffffffffffffffff1-2 r-xp 0 0 0"} {
		if m, err := parseMapping(bad); err == nil {
			t.Errorf("%q: %+v", bad, m)
		}
	}
	stat := "42 (a ) R 1 (b) S" + strings.Repeat(" 7", 43) + " 123456 8 9"
	if got := parseStartBrk(stat); got != 123456 {
		t.Errorf("start_brk %d", got)
	}
	for _, bad := range []string{"", "42 (a) S 1 2", ")", "42 (a) S" + strings.Repeat(" x", 50)} {
		if got := parseStartBrk(bad); got != 0 {
			t.Errorf("%q: %d", bad, got)
		}
	}
	if at := startBrk(); at == 0 {
		t.Error("/proc/self/stat has no start_brk")
	}
}

// TestPrograms opens arenas in programs of their own: at a fixed address and
// position-independent, with address randomization and without.
func TestPrograms(t *testing.T) {
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			bin := filepath.Join(t.TempDir(), "prog")
			build := exec.Command("go", "build", "-buildmode="+mode, "-o", bin, "./testdata/prog")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go build: %v\n%s", err, out)
			}
			places := map[string]int{}
			for _, arg := range append(slices.Repeat([]string{"random"}, 20), "fixed", "fixed") {
				out, err := exec.Command(bin, arg).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", arg, err, out)
				}
				places[strings.TrimSpace(string(out))]++
			}
			t.Log(places)
			// Both find all the room they want, where they should look first.
			want := map[string]string{"exe": "above memfd 67108864", "pie": "below memfd 67108864"}[mode]
			if places[want] != 22 {
				t.Errorf("places %v, expected 22 times %q", places, want)
			}
		})
	}
}
