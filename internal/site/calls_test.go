package site

import (
	"encoding/binary"
	"strings"
	"testing"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

func TestFindCalls(t *testing.T) {
	for _, c := range []struct {
		name, fn, code string
		form           insn.Form
		off            int    // of the site in the function; -1: none is found
		why            string // contained in the reason, "" for patchable
	}{
		{"a call", "main.f", "e8 callee c3", insn.CallRel, 0, ""},
		{"behind a prologue", "main.f", "49 3b 66 10 76 10 55 48 89 e5 e8 callee 5d c3", insn.CallRel, 10, ""},
		{"a tail jump", "main.f", "48 8b 00 e9 callee", insn.JumpRel, 3, ""},
		{"a conditional jump", "main.f", "0f 84 callee c3", 0, -1, ""},
		{"the address", "main.f", "48 8d 05 callee c3", 0, -1, ""},
		{"behind the entry", "main.f", "e8 callee+1 c3", 0, -1, ""},
		{"of another function", "main.f", "e8 before c3", 0, -1, ""},
		{"in an immediate by chance", "main.f", "48 b8 e8 callee 00 00 00 c3", 0, -1, ""},
		{"in a displacement by chance", "main.f", "48 8b 84 24 e8 00 00 00 e8 callee c3", insn.CallRel, 8, ""},
		{"undecodable before", "main.f", "06 e8 callee c3", 0, 1, "could not be decoded"},
		{"behind VEX", "main.f", "c5 fd 6f 05 11 22 33 44 e8 callee c3", insn.CallRel, 8, ""},
		{"package runtime", "runtime.f", "e8 callee c3", insn.CallRel, 0, "between fork and exec"},
		{"package os", "os.(*File).f", "e8 callee c3", insn.CallRel, 0, "between fork and exec"},
		{"a user's internal package", "x.org/a/internal/b.F", "e8 callee c3", insn.CallRel, 0, ""},
		{"assembly", "asm.f", "e8 callee c3", insn.CallRel, 0, "assembly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := fakeImage{targets: map[string]uint64{}}
			img.targets["before"] = img.add("main.before", "c3 90 90")
			callee := img.add("main.callee", "90 c3")
			img.targets["callee"], img.targets["callee+1"] = callee, callee+1
			start := img.add(c.fn, c.code)
			got := FindCalls(&img, []uint64{callee}, nil)
			if c.off < 0 {
				if len(got) != 0 {
					t.Errorf("found %+v", got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("%d sites, expected one: %+v", len(got), got)
			}
			s := got[0]
			if s.Addr != start+uint64(c.off) || s.Entry != start || s.Func != c.fn || s.Key != 0 {
				t.Errorf("found %+v, expected it at %#x", s, start+uint64(c.off))
			}
			if !strings.Contains(s.Why, c.why) || s.Patchable() != (c.why == "") {
				t.Errorf("reason %q, expected %q", s.Why, c.why)
			}
			if s.Form != c.form || c.form != insn.FormNone && string(s.Code.Bytes()) != string(img.bytes[s.Addr-textAt:][:insn.CallLen]) {
				t.Errorf("form %v with [%v], expected %v", s.Form, s.Code, c.form)
			}
		})
	}
}

// TestFindCallsOwn: what a callee's own code does with itself is no site; other callees'
// calls are.
func TestFindCallsOwn(t *testing.T) {
	img := fakeImage{targets: map[string]uint64{}}
	first := img.add("main.first", "c3")
	img.targets["first"] = first
	second := textAt + uint64(len(img.bytes))
	img.targets["second"] = second
	img.add("main.second", "e8 second e8 first e9 second")
	third := img.add("main.third", "e8 second e8 first e8 second c3")
	got := FindCalls(&img, []uint64{second, first}, nil)
	var where []uint64
	for _, s := range got {
		where = append(where, s.Addr-textAt)
		if to := insn.CallTarget(s.Addr, s.Code.Bytes()); to != []uint64{second, first}[s.Key] {
			t.Errorf("%+v goes to %#x", s, to)
		}
	}
	off := third - textAt
	want := []uint64{second - textAt + 5, off, off + 5, off + 10}
	if len(where) != len(want) {
		t.Fatalf("found %#x, expected %#x", where, want)
	}
	for i := range want {
		if where[i] != want[i] {
			t.Errorf("found %#x, expected %#x", where, want)
		}
	}
	only := FindCalls(&img, []uint64{second, first}, func(fn string) bool { return fn == "main.second" })
	if len(only) != 1 || only[0].Func != "main.second" {
		t.Errorf("picked %+v", only)
	}
	if none := FindCalls(&img, nil, nil); len(none) != 0 {
		t.Errorf("of nothing: %+v", none)
	}
}

// TestFindCallsEdge: calls at the ends of functions and of text.
func TestFindCallsEdge(t *testing.T) {
	img := fakeImage{targets: map[string]uint64{}}
	callee := img.add("main.callee", "c3")
	img.targets["callee"] = callee
	// The function ends inside of the instruction: its last bytes are another's.
	start := img.add("main.f", "90 e8 callee")
	img.funcs[1].end--
	img.funcs = append(img.funcs, fakeFunc{start + 5, start + 6, "main.g"})
	got := FindCalls(&img, []uint64{callee}, nil)
	if len(got) != 1 || !strings.Contains(got[0].Why, "ends inside") {
		t.Errorf("%+v", got)
	}
	// A candidate in the last bytes of text.
	for n := range len(img.bytes) {
		cut := img
		cut.bytes = img.bytes[:n:n]
		FindCalls(&cut, []uint64{callee}, nil)
	}
}

func TestInitializer(t *testing.T) {
	for fn, want := range map[string]bool{"main.init": true, "x.org/a/b.init": true, "main.init.0": false, "main.Init": false, "main.f": false} {
		if initializer(fn) != want {
			t.Errorf("%s: %v", fn, !want)
		}
	}
}

func FuzzFindCalls(f *testing.F) {
	f.Add([]byte{0xE8, 0xFB, 0xFF, 0xFF, 0xFF, 0xC3}, uint16(0))
	f.Fuzz(func(t *testing.T, code []byte, callee uint16) {
		img := fakeImage{bytes: code, funcs: []fakeFunc{{textAt, textAt + uint64(len(code))/2, "main.f"}, {textAt + uint64(len(code))/2, textAt + uint64(len(code)), "main.g"}}}
		target := textAt + uint64(callee)
		for _, s := range FindCalls(&img, []uint64{target}, nil) {
			if !s.Patchable() {
				continue
			}
			b := code[s.Addr-textAt:]
			if b[0]&0xFE != 0xE8 || s.Addr+insn.CallLen+uint64(int64(int32(binary.LittleEndian.Uint32(b[1:])))) != target {
				t.Errorf("%+v is no call of %#x", s, target)
			}
			if form, ok := insn.RecognizeCall(b); !ok || form != s.Form {
				t.Errorf("%+v has the form %v", s, form)
			}
		}
	})
}

// TestFindForwarded: callers that rely on the forwarder keep it.
func TestFindForwarded(t *testing.T) {
	for _, c := range []struct{ name, code, why string }{
		{"main.f", "49 3b 66 10 76 10 55 48 89 e5 e8 F 5d c3", ""},
		{"main.f", "4c 8d a4 24 00 ff ff ff 4d 3b 66 10 76 10 55 e8 F 5d c3", ""},
		{"main.f", "49 89 e4 49 81 ec 00 10 01 00 72 10 4d 3b 66 10 76 10 e8 F c3", ""},
		{"main.f", "55 48 89 e5 e8 F 5d c3", "careful"},
		{"main.f", "49 3b 66 18 76 10 55 48 89 e5 e8 F 5d c3", "careful"}, // g.stackguard1
		{"main.f", "49 3b 67 10 76 10 55 48 89 e5 e8 F 5d c3", "careful"}, // 16(R15)
		{"main.f", "e8 F 49 3b 66 10 c3", "careful"},
		{"main.f", "e9 F", "careful"}, // a wrapper's jump: its caller's stack
		{"os.f", "49 3b 66 10 76 10 55 e8 F 5d c3", "fork and exec"},
	} {
		img := fakeImage{targets: map[string]uint64{}}
		img.targets["F"] = img.add("main.F", "c3")
		img.add(c.name, c.code)
		got := FindForwarded(&img, []Reader{{Site: Site{Entry: img.targets["F"]}}})
		if len(got) == 1 && got[0].Careful {
			got[0].Why += "careful"
		}
		if len(got) != 1 || c.why == "" && got[0].Why != "" || !strings.Contains(got[0].Why, c.why) {
			t.Errorf("%s %s: %+v; expected the reason %q", c.name, c.code, got, c.why)
		}
	}
}
