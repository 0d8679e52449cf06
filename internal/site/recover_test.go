package site

import (
	"strings"
	"testing"
)

// FuncCode and Generated make fakeImage a Code: functions of package wrap are wrappers.
func (f *fakeImage) FuncCode(entry uint64) []byte {
	for _, fn := range f.funcs {
		if fn.start == entry {
			return f.bytes[fn.start-textAt : fn.end-textAt]
		}
	}
	return nil
}

func (f *fakeImage) Generated(entry uint64) bool {
	_, name, _ := f.Func(entry)
	return strings.HasPrefix(name, "wrap.")
}

func TestRecovers(t *testing.T) {
	for _, c := range []struct {
		name, code string
		want       bool
	}{
		{"main.none", "90 c3", false},
		{"main.recovers", "55 e8 R 5d c3", true},
		{"main.jumps", "e9 R", true},
		{"main.calls", "55 e8 C 5d c3", false}, // what it calls is not deferred
		{"main.immediate", "b8 e8 00 00 00 c3", false},
		{"main.broken", "06", true},
		{"wrap.ofNone", "55 e8 N 5d c3", false},
		{"wrap.ofRecovering", "55 e8 C 5d c3", true},
		{"wrap.jumpsToRecovering", "e9 C", true},
		{"wrap.ofWrapper", "55 e8 W 5d c3", true},
		{"wrap.indirect", "ff d0 c3", true},
		{"wrap.runtime", "55 e8 M 5d c3", false},
		{"wrap.itself", "75 02 eb fc c3", false},
	} {
		img := &fakeImage{targets: map[string]uint64{}}
		img.targets["R"] = img.add("runtime.gorecover", "c3")
		img.targets["M"] = img.add("runtime.morestack", "c3")
		img.targets["N"] = img.add("main.n", "c3")
		img.targets["C"] = img.add("main.c", "55 e8 R 5d c3")
		img.targets["W"] = img.add("wrap.w", "55 e8 C 5d c3")
		if got := Recovers(img, img.add(c.name, c.code)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if img := (&fakeImage{}); !Recovers(img, textAt) {
		t.Error("what is no function may recover")
	}
}
