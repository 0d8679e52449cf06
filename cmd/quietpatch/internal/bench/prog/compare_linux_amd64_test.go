package prog

import (
	"testing"

	"github.com/quietpatch/quietpatch/statickey"
)

var one, two statickey.Bool

// TestCompare: a site that saw a wrong value must not pass.
func TestCompare(t *testing.T) {
	p := Program{Keys: []Key{{&one, 3}, {&two, 2}}}
	g := &Group{From: 0, To: 1, Sites: 3}
	for _, c := range []struct {
		seen [2]uint32
		on   bool
		ok   bool
	}{
		{[2]uint32{3, 0}, true, true},
		{[2]uint32{0, 0}, false, true},
		{[2]uint32{2, 0}, true, false},
		{[2]uint32{1, 0}, false, false},
		{[2]uint32{3, 1}, true, false},
	} {
		w := Work{}
		copy(w.Seen[:], c.seen[:])
		n, err := p.compare(&w, g, c.on)
		if (err == nil) != c.ok || c.ok && n != 3 {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
}
