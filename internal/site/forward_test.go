package site

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const (
	thunkCX = "runtime.retpolineCX"
	thunkAX = "runtime.retpolineAX"
)

// forwardImage holds one function, and what it may lead to: "CX" and "AX" stand for the
// displacements to the thunks, "other" to a function that is no thunk, "inside" to the
// second instruction of the thunk for CX, "morestack" to that, and "more" to the code that
// gets more stack.
func forwardImage(more, code string) (*fakeImage, uint64) {
	img := &fakeImage{targets: map[string]uint64{}}
	const thunk = "e8 04 00 00 00 f3 90 eb fc 48 89 0c 24 c3"
	img.targets["CX"] = img.add(thunkCX, thunk)
	img.targets["inside"] = img.targets["CX"] + 5
	img.targets["AX"] = img.add(thunkAX, thunk)
	img.targets["other"] = img.add("main.other", "c3")
	img.targets["morestack"] = img.add("runtime.morestack_noctxt", "c3")
	img.targets["more"] = img.add("main.more", more)
	return img, img.add("main.Forward", code)
}

// Pieces of what Go 1.25 to 1.27 make of a forwarder of three words, AX, BX and CX. Its
// callers have 24 bytes for it (see fakeImage.ArgBytes).
const (
	bound    = "49 3b 66 10 0f 86 more " // CMPQ 16(R14), SP; JLS
	push     = "55 48 89 e5 "            // PUSHQ BP; MOVQ SP, BP
	frame24  = "48 83 ec 18 "            // SUBQ $24, SP
	load     = "48 8b 15 K "             // MOVQ key(SB), DX
	deref    = "48 8b 0a "               // MOVQ (DX), CX
	callCX   = "ff d1 "                  // CALL CX
	unwind24 = "48 83 c4 18 "            // ADDQ $24, SP
	leave    = "5d c3 "                  // POPQ BP; RET
	enter    = bound + push + frame24
	rest     = load + deref + callCX + unwind24 + leave

	slotsABC = "48 89 44 24 08 48 89 5c 24 10 48 89 4c 24 18 " // MOVQ AX, 8(SP); BX, 16(SP); CX, 24(SP)
	grow     = "e8 morestack 48 8b 44 24 08 eb c0 "
	more     = slotsABC + grow
	// A byte, two floats (one of four bytes) and a word.
	mixedMore = "88 44 24 08 66 89 5c 24 0a f3 0f 11 44 24 0c f2 0f 11 4c 24 10 48 89 4c 24 18 " + grow
)

func TestForwarder(t *testing.T) {
	for _, c := range []struct{ name, more, code string }{
		{"as compiled", more, enter + rest},
		{"a near stack bound", "", "49 3b 66 10 76 20 " + push + frame24 + rest + "66 0f 1f 44 00 00 " + more},
		{"a long instruction for the frame", more, bound + push + "48 81 ec 18 00 00 00 " + load + deref + callCX + "48 81 c4 18 00 00 00 " + leave},
		{"padding", more, enter + "0f 1f 40 00 " + load + "66 90 " + deref + callCX + unwind24 + "90 5d 90 c3"},
		{"through AX", more, enter + load + "48 8b 02 ff d0 " + unwind24 + leave},
		{"through R8", more, enter + load + "4c 8b 02 41 ff d0 " + unwind24 + leave},
		{"through R12", more, enter + load + "4c 8b 22 41 ff d4 " + unwind24 + leave},
		{"through a thunk", more, enter + load + deref + "e8 CX " + unwind24 + leave},
		{"through another thunk", more, enter + load + "48 8b 02 e8 AX " + unwind24 + leave},
		// 24 bytes of frame, saved BP and return address: spill slots begin at 40.
		{"an argument spilled", more, enter + "48 89 44 24 28 " + rest},
		{"all arguments spilled", more, enter + "48 89 4c 24 38 48 89 44 24 28 48 89 5c 24 30 " + rest},
		{"by a long instruction", more, enter + "48 89 84 24 28 00 00 00 " + rest},
		{"small ones and floats", mixedMore, enter + "f2 0f 11 4c 24 30 88 44 24 28 f3 0f 11 44 24 2c 66 89 5c 24 2a " + rest},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, entry := forwardImage(c.more, c.code)
			if err := Forwarder(img, entry, keyAt); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestForwarderRoom: what callers have on the stack must be what the callee expects there.
func TestForwarderRoom(t *testing.T) {
	for _, c := range []struct{ name, more, code, why string }{
		{"no slots", grow, enter + rest, "bytes 0 to 0 of the 24"},
		{"a slot missing", "48 89 44 24 08 48 89 5c 24 10 " + grow, enter + rest, "bytes 0 to 16 of the 24"},
		{"the first slot missing", "48 89 5c 24 10 48 89 4c 24 18 " + grow, enter + rest, "bytes 8 to 24 of the 24"},
		{"a slot too many", slotsABC + "48 89 7c 24 20 " + grow, enter + rest, "bytes 0 to 32 of the 24"},
		{"a slot over the return address", "48 89 44 24 00 48 89 4c 24 18 " + grow, enter + rest, "bytes -8 to 24"},
		{"no call of morestack", slotsABC + "c3", enter + rest, "call of morestack"},
		{"another call", slotsABC + "e8 other", enter + rest, "call of morestack"},
		{"a jump", slotsABC + "e9 morestack", enter + rest, "call of morestack"},
		{"a register saved elsewhere", slotsABC + "48 89 03 " + grow, enter + rest, "call of morestack"},
		{"a vector saved", slotsABC + "0f 11 44 24 08 " + grow, enter + rest, "call of morestack"},
		{"nothing there", "", enter + rest, "call of morestack"},
		{"more for the callee", more, bound + push + "48 83 ec 20 " + load + deref + callCX + "48 83 c4 20 " + leave, "given 32 bytes"},
		{"much more", more, bound + push + "48 81 ec 80 00 00 00 " + load + deref + callCX + "48 81 c4 80 00 00 00 " + leave, "given 128 bytes"},
		{"less", more, bound + push + "48 83 ec 10 " + load + deref + callCX + "48 83 c4 10 " + leave, "given 16 bytes"},
		{"nothing for the callee", more, bound + push + load + deref + callCX + leave, "given 0 bytes"},
		{"a negative frame", more, bound + push + "48 83 ec e8 " + load + deref + callCX + "48 83 c4 e8 " + leave, "given"},
		{"no bound", more, push + frame24 + rest, "check of the stack's bound"},
		{"another bound", more, "49 3b 67 10 0f 86 more " + push + frame24 + rest, "check of the stack's bound"},
		{"the other condition", more, "49 3b 66 10 0f 87 more " + push + frame24 + rest, "check of the stack's bound"},
		{"the bound of a large frame", more, "4c 8d a4 24 80 f0 ff ff 4d 3b 66 10 0f 86 more " + push + frame24 + rest, "check of the stack's bound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, entry := forwardImage(c.more, c.code)
			err := Forwarder(img, entry, keyAt)
			if !errors.Is(err, ErrForwarder) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, expected %q", err, c.why)
			}
		})
	}
}

// TestNoForwarder: each deviation is refused, at the instruction where it is one.
func TestNoForwarder(t *testing.T) {
	for _, c := range []struct {
		name, code string
		found      string // the bytes that the error names
		why        string
	}{
		// Before the load.
		{"an argument in another register", enter + "48 89 c3 " + rest, "48 89 c3", "load of the variable"},
		{"arguments exchanged", enter + "48 93 " + rest, "48 93", "load of the variable"},
		{"an argument missing", enter + "31 c0 " + rest, "31 c0", "load of the variable"},
		{"an argument that is a constant", enter + "b8 01 00 00 00 " + rest, "b8 01 00 00 00", "load of the variable"},
		{"an argument changed", enter + "48 ff c0 " + rest, "48 ff c0", "load of the variable"},
		{"a float moved", enter + "0f 10 c1 " + rest, "0f 10 c1", "load of the variable"},
		{"a float changed", enter + "f2 0f 58 c1 " + rest, "f2 0f 58 c1", "load of the variable"},
		{"an argument on the stack", enter + "48 89 04 24 " + rest, "48 89 04 24", "load of the variable"},
		{"one a bit higher", enter + "48 89 44 24 08 " + rest, "48 89 44 24 08", "load of the variable"},
		{"a store over the saved BP", enter + "48 89 44 24 18 " + rest, "48 89 44 24 18", "load of the variable"},
		{"over the return address", enter + "48 89 44 24 20 " + rest, "48 89 44 24 20", "load of the variable"},
		{"half over the return address", enter + "48 89 44 24 24 " + rest, "48 89 44 24 24", "load of the variable"},
		{"into another's slot", enter + "48 89 44 24 30 " + rest, "48 89 44 24 30", "load of the variable"},
		{"into a caller's variables", enter + "48 89 44 24 40 " + rest, "48 89 44 24 40", "load of the variable"},
		{"far into them", enter + "48 89 84 24 00 01 00 00 " + rest, "48 89 84 24 00 01", "load of the variable"},
		{"below the stack", enter + "48 89 44 24 f8 " + rest, "48 89 44 24 f8", "load of the variable"},
		{"far below the stack", enter + "48 89 84 24 00 ff ff ff " + rest, "48 89 84 24 00 ff ff ff", "load of the variable"},
		{"a register that is no argument", enter + "48 89 7c 24 28 " + rest, "48 89 7c 24 28", "load of the variable"},
		{"half of one", enter + "89 44 24 28 " + rest, "89 44 24 28", "load of the variable"},
		{"zeros over results", enter + "44 0f 11 7c 24 28 " + rest, "44 0f 11 7c 24 28", "load of the variable"},
		{"a float on the stack", enter + "f2 0f 11 04 24 " + rest, "f2 0f 11 04 24", "load of the variable"},
		{"a float in a slot", enter + "f2 0f 11 44 24 28 " + rest, "f2 0f 11 44 24 28", "load of the variable"},
		{"a store with an index", enter + "48 89 44 04 28 " + rest, "48 89 44 04 28", "load of the variable"},
		{"a store elsewhere", enter + "48 89 03 " + rest, "48 89 03", "load of the variable"},
		{"a store by another base", enter + "48 89 45 28 " + rest, "48 89 45 28", "load of the variable"},
		{"a store by R12", enter + "49 89 44 24 28 " + rest, "49 89 44 24 28", "load of the variable"},
		{"a store with R12 as index", enter + "4a 89 44 24 28 " + rest, "4a 89 44 24 28", "load of the variable"},
		{"a store to a segment", enter + "64 48 89 44 24 28 " + rest, "64 48 89 44 24 28", "load of the variable"},
		{"a store of a constant", enter + "c7 44 24 28 01 00 00 00 " + rest, "c7 44 24 28", "load of the variable"},
		{"a spilled argument loaded", enter + "48 8b 44 24 28 " + rest, "48 8b 44 24 28", "load of the variable"},
		{"another call first", enter + "e8 other " + rest, "e8", "load of the variable"},
		{"a condition", enter + "48 85 c0 74 10 " + rest, "48 85 c0", "load of the variable"},
		// The load.
		{"another variable", enter + "48 8b 15 K+0@8 " + deref + callCX + unwind24 + leave, "48 8b 15", "load of the variable"},
		{"the variable's address", enter + "48 8d 15 K " + deref + callCX + unwind24 + leave, "48 8d 15", "load of the variable"},
		{"half of the variable", enter + "8b 15 K " + deref + callCX + unwind24 + leave, "8b 15", "load of the variable"},
		{"into another register", enter + "48 8b 0d K 48 8b 11 ff d2 " + unwind24 + leave, "48 8b 0d", "load of the variable"},
		{"into R10", enter + "4c 8b 15 K 49 8b 0a ff d1 " + unwind24 + leave, "4c 8b 15", "load of the variable"},
		{"not loaded through", enter + load + "ff d2 " + unwind24 + leave, "ff d2", "load of the variable"},
		{"another word of the closure", enter + load + "48 8b 4a 08 " + callCX + unwind24 + leave, "48 8b 4a 08", "load of the variable"},
		{"half of the code address", enter + load + "8b 0a " + callCX + unwind24 + leave, "8b 0a", "load of the variable"},
		{"loaded by R10", enter + load + "49 8b 0a " + callCX + unwind24 + leave, "49 8b 0a", "load of the variable"},
		{"with an index", enter + load + "48 8b 0c 02 " + callCX + unwind24 + leave, "48 8b 0c 02", "load of the variable"},
		{"by a segment", enter + load + "64 48 8b 0a " + callCX + unwind24 + leave, "64 48 8b 0a", "load of the variable"},
		// The call.
		{"a register between", enter + load + deref + "48 89 c3 " + callCX + unwind24 + leave, "48 89 c3", "call of the loaded"},
		{"a spill between", enter + load + deref + "48 89 44 24 28 " + callCX + unwind24 + leave, "48 89 44 24 28", "call of the loaded"},
		{"another register called", enter + load + deref + "ff d0 " + unwind24 + leave, "ff d0", "call of the loaded"},
		{"R9 called, not CX", enter + load + deref + "41 ff d1 " + unwind24 + leave, "41 ff d1", "call of the loaded"},
		{"CX called, not R9", enter + load + "4c 8b 0a ff d1 " + unwind24 + leave, "ff d1", "call of the loaded"},
		{"a call by memory", enter + load + deref + "ff 12 " + unwind24 + leave, "ff 12", "call of the loaded"},
		{"a tail jump", enter + load + deref + "ff e1 ", "ff e1", "call of the loaded"},
		{"the thunk of another register", enter + load + deref + "e8 AX " + unwind24 + leave, "e8", "call of the loaded"},
		{"a call of no thunk", enter + load + deref + "e8 other " + unwind24 + leave, "e8", "call of the loaded"},
		{"a call into a thunk", enter + load + deref + "e8 inside " + unwind24 + leave, "e8", "call of the loaded"},
		{"a jump to a thunk", enter + load + deref + "e9 CX " + unwind24 + leave, "e9", "call of the loaded"},
		// Behind the call.
		{"a result changed", enter + load + deref + callCX + "48 ff c0 " + unwind24 + leave, "48 ff c0", "results"},
		{"results exchanged", enter + load + deref + callCX + "48 93 " + unwind24 + leave, "48 93", "results"},
		{"a result from the stack", enter + load + deref + callCX + "48 8b 04 24 " + unwind24 + leave, "48 8b 04 24", "results"},
		{"a constant result", enter + load + deref + callCX + "31 c0 " + unwind24 + leave, "31 c0", "results"},
		{"a result changed late", enter + load + deref + callCX + unwind24 + "48 ff c0 " + leave, "48 ff c0", "end of the function"},
		{"and very late", enter + load + deref + callCX + unwind24 + "5d 48 ff c0 c3", "48 ff c0", "end of the function"},
		{"another call", enter + load + deref + callCX + "e8 other " + unwind24 + leave, "e8", "results"},
		{"the frame not given back", enter + load + deref + callCX + leave, "5d", "frame of 24 bytes"},
		{"another frame given back", enter + load + deref + callCX + "48 83 c4 20 " + leave, "5d", "frame of 24 bytes"},
		{"BP not restored", enter + load + deref + callCX + unwind24 + "c3", "c3", "end of the function"},
		{"a return that pops", enter + load + deref + callCX + unwind24 + "5d c2 08 00", "c2 08 00", "end of the function"},
		// The entry.
		{"no frame", bound + rest, "48 8b 15", "entry of a compiled function"},
		{"BP not saved", bound + "48 89 e5 " + frame24 + rest, "48 89 e5", "entry of a compiled function"},
		{"BP not set", bound + "55 " + frame24 + rest, "48 83 ec 18", "entry of a compiled function"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, entry := forwardImage(more, c.code)
			err := Forwarder(img, entry, keyAt)
			if !errors.Is(err, ErrForwarder) {
				t.Fatalf("%v; expected that it is refused", err)
			}
			if !strings.Contains(err.Error(), "("+c.found) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v\nexpected (%s and %q", err, c.found, c.why)
			}
		})
	}
}

// TestForwarderNoArgs: neither arguments nor results, and so no slots.
func TestForwarderNoArgs(t *testing.T) {
	for name, want := range map[string]bool{"main.Forward": false, "noargs.Forward": true} {
		img, _ := forwardImage(grow, "")
		err := Forwarder(img, img.add(name, bound+push+load+deref+callCX+leave), keyAt)
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForwarderCut: code that ends anywhere is refused.
func TestForwarderCut(t *testing.T) {
	before, _ := forwardImage(more, "")
	start := len(before.bytes)
	for _, code := range []string{enter + rest, enter + "48 89 44 24 28 " + load + deref + "e8 CX " + unwind24 + leave} {
		img, entry := forwardImage(more, code)
		if err := Forwarder(img, entry, keyAt); err != nil {
			t.Fatal(err)
		}
		for n := start; n < len(img.bytes); n++ {
			cut := *img
			cut.bytes = img.bytes[:n:n]
			if err := Forwarder(&cut, entry, keyAt); !errors.Is(err, ErrForwarder) {
				t.Errorf("cut to %d bytes: %v", n-start, err)
			}
		}
	}
	if err := Forwarder(before, 0x1000, keyAt); !errors.Is(err, ErrForwarder) {
		t.Errorf("outside of text: %v", err)
	}
}

// TestForwarderChanged changes single bits of a forwarder: none may pass.
func TestForwarderChanged(t *testing.T) {
	img, entry := forwardImage(more, enter+"48 89 44 24 28 "+rest)
	for off := int(entry - textAt); off < len(img.bytes); off++ {
		for bit := range 8 {
			changed := *img
			changed.bytes = slices.Clone(img.bytes)
			b := &changed.bytes[off]
			*b ^= 1 << bit
			if err := Forwarder(&changed, entry, keyAt); err == nil {
				t.Errorf("byte %d changed from %02x to %02x: passed", off-int(entry-textAt), img.bytes[off], *b)
			}
		}
	}
}

func FuzzForwarder(f *testing.F) {
	img, entry := forwardImage(more, enter+rest)
	f.Add(img.bytes[entry-textAt:])
	f.Fuzz(func(t *testing.T, code []byte) {
		img, _ := forwardImage(more, "")
		entry := textAt + uint64(len(img.bytes))
		img.bytes = append(img.bytes, code...)
		if err := Forwarder(img, entry, keyAt); err != nil && !errors.Is(err, ErrForwarder) {
			t.Errorf("%v does not wrap ErrForwarder", err)
		}
	})
}
