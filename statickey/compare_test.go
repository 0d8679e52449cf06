package statickey_test

import (
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/statickey"
)

var (
	level statickey.Int32
	count statickey.Int64
	size  statickey.Uint32
)

// The comparisons that programs make. Each is a site of its own.

//go:noinline
func moreThan3() bool {
	return level.Get() > 3
}

//go:noinline
func atMost3() int {
	if level.Get() <= 3 {
		return 1
	}
	return 0
}

//go:noinline
func is3() bool { return level.Get() == 3 }

//go:noinline
func lessThan3() bool {
	return level.Get() < 3
}

//go:noinline
func countAbove1000() bool {
	return count.Get() > 1000
}

//go:noinline
func sizeBelow100() bool {
	return size.Get() < 100
}

//go:noinline
func kind() int {
	switch level.Get() {
	case 3:
		return 3
	case 7:
		return 7
	}
	return 0
}

// TestCompares: every comparison answers as a plain number's would, for values
// around its constant, on both sides of every change.
func TestCompares(t *testing.T) {
	for _, v := range []int32{3, 4, 2, 3, -1, 7, 1<<31 - 1, -1 << 31, 0, 4, 8, 3} {
		if err := level.Set(v); err != nil {
			t.Fatal(err)
		}
		if moreThan3() != (v > 3) || (atMost3() == 1) != (v <= 3) || is3() != (v == 3) || lessThan3() != (v < 3) {
			t.Errorf("%d: >3 %v, <=3 %v, ==3 %v, <3 %v", v, moreThan3(), atMost3(), is3(), lessThan3())
		}
		if want := map[int32]int{3: 3, 7: 7}[v]; kind() != want {
			t.Errorf("%d: switch gives %d", v, kind())
		}
	}
	for _, v := range []int64{1000, 1001, 999, -1, 1 << 40, -1 << 63, 1<<63 - 1, 0} {
		if err := count.Set(v); err != nil || countAbove1000() != (v > 1000) {
			t.Errorf("%d > 1000: %v, %v", v, countAbove1000(), err)
		}
	}
	for _, v := range []uint32{100, 99, 101, 0, 1<<32 - 1, 1 << 31} {
		if err := size.Set(v); err != nil || sizeBelow100() != (v < 100) {
			t.Errorf("%d < 100: %v, %v", v, sizeBelow100(), err)
		}
	}
}

// TestComparesArmed: what can be armed is.
func TestComparesArmed(t *testing.T) {
	patched(t)
	if err := level.Set(5); err != nil {
		t.Fatal(err)
	}
	if err := count.Set(5); err != nil {
		t.Fatal(err)
	}
	if err := size.Set(5); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sites func() ([]statickey.Site, error)
		fn    string
		state string
	}{
		{level.Sites, "moreThan3", "armed"},
		{level.Sites, "atMost3", "armed"},
		{level.Sites, "is3", "armed"},
		{level.Sites, "lessThan3", "armed"},
		{count.Sites, "countAbove1000", "armed"},
		{size.Sites, "sizeBelow100", "armed"},
	} {
		ss, err := c.sites()
		n := 0
		for _, s := range ss {
			if strings.HasSuffix(s.Func, "."+c.fn) {
				n++
				if s.State != c.state {
					t.Errorf("%s: %+v, expected %s", c.fn, s, c.state)
				}
				t.Logf("%s: %s %s", c.fn, s.Form, s.State)
			}
		}
		if err != nil || n != 1 {
			t.Errorf("%s: %d sites, %v", c.fn, n, err)
		}
	}
	if err := level.Set(2); err != nil {
		t.Fatal(err)
	}
	ss, _ := level.Sites()
	for _, s := range ss {
		if strings.HasSuffix(s.Func, ".lessThan3") {
			t.Logf("with 2: %+v", s)
		}
	}
}
