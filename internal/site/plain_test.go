package site

import (
	"strings"
	"testing"
)

// FuncCode and Wrapper make fakeImage a Code: functions of package wrap are wrappers.
func (f *fakeImage) FuncCode(entry uint64) []byte {
	for _, fn := range f.funcs {
		if fn.start == entry {
			return f.bytes[fn.start-textAt : fn.end-textAt]
		}
	}
	return nil
}

func (f *fakeImage) Wrapper(entry uint64) bool {
	_, name, _ := f.Func(entry)
	return strings.HasPrefix(name, "wrap.")
}

func TestPlain(t *testing.T) {
	const check = "49 3b 66 10 76 10 "
	for _, c := range []struct {
		name, code string
		want       bool
	}{
		{"main.leaf", "48 8d 04 00 c3", true},
		{"main.loop", "75 02 eb fc c3", true},
		{"main.checked", check + "55 48 89 e5 48 83 ec 10 e8 C 48 83 c4 10 5d c3", true},
		{"main.indirect", check + "55 ff d0 5d c3", true},
		{"main.immediate", "b8 e8 00 00 00 c3", true},
		{"main.recovers", check + "55 e8 R 5d c3", false},
		{"main.jumps", "e9 C", false},
		{"main.pushes", "55 5d c3", false},
		{"main.frame", "48 83 ec 10 48 83 c4 10 c3", false},
		{"main.bigFrame", "48 81 ec 80 02 00 00 c3", false},
		{"main.lea", "48 8d 64 24 f0 c3", false},
		{"main.movSP", "48 89 c4 c3", false},
		{"main.calls", "e8 C c3", false},
		{"main.testSP", "48 f7 c4 07 00 00 00 c3", true}, // an armed check
		{"main.broken", "06", false},
		{"wrap.ofPlain", check + "55 e8 P 5d c3 e8 M", true},
		{"wrap.ofWrapper", check + "55 e8 W 5d c3", true},
		{"wrap.ofRecovering", check + "55 e8 Q 5d c3", false},
		{"wrap.indirect", check + "55 ff d0 5d c3", false},
		{"wrap.byThunk", check + "55 e8 T 5d c3", false},
		{"wrap.jumps", "e9 P", false},
		{"wrap.itself", check + "e8 S c3", false},
		{"asm.any", "c3", false},
	} {
		img := &fakeImage{targets: map[string]uint64{}}
		img.targets["R"] = img.add("runtime.gorecover", "c3")
		img.targets["C"] = img.add("main.c", "c3")
		img.targets["M"] = img.add("runtime.morestack", "c3")
		img.targets["P"] = img.add("main.p", check+"55 e8 C 5d c3")
		img.targets["Q"] = img.add("main.q", check+"55 e8 R 5d c3")
		img.targets["W"] = img.add("wrap.w", check+"55 e8 P 5d c3")
		img.targets["T"] = img.add("runtime.retpolineAX", "e8 04 00 00 00 f3 90 eb fc 48 89 04 24 c3")
		img.targets["S"] = textAt + uint64(len(img.bytes))
		if got := Plain(img, img.add(c.name, c.code)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if img := (&fakeImage{}); Plain(img, textAt) {
		t.Error("what is no function is not plain")
	}
}
