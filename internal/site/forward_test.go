package site

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	thunkCX = "runtime.retpolineCX"
	thunkAX = "runtime.retpolineAX"
)

// forwardImage holds one function, and the thunks that it may call: "CX" and "AX" stand
// for the displacements to theirs, "other" to a function that is no thunk, "inside" to
// the second instruction of the thunk for CX.
func forwardImage(code string) (*fakeImage, uint64) {
	img := &fakeImage{targets: map[string]uint64{}}
	const thunk = "e8 04 00 00 00 f3 90 eb fc 48 89 0c 24 c3"
	img.targets["CX"] = img.add(thunkCX, thunk)
	img.targets["inside"] = img.targets["CX"] + 5
	img.targets["AX"] = img.add(thunkAX, thunk)
	img.targets["other"] = img.add("main.other", "c3")
	return img, img.add("main.Forward", code)
}

// Pieces of what Go 1.25 to 1.27 make of a forwarder.
const (
	bound    = "49 3b 66 10 76 20 " // CMPQ 16(R14), SP; JLS
	push     = "55 48 89 e5 "       // PUSHQ BP; MOVQ SP, BP
	frame16  = "48 83 ec 10 "       // SUBQ $16, SP
	load     = "48 8b 15 K "        // MOVQ key(SB), DX
	deref    = "48 8b 0a "          // MOVQ (DX), CX
	callCX   = "ff d1 "             // CALL CX
	unwind16 = "48 83 c4 10 "       // ADDQ $16, SP
	leave    = "5d c3 "             // POPQ BP; RET
	enter    = bound + push + frame16
	rest     = load + deref + callCX + unwind16 + leave
	more     = "48 89 44 24 08 e8 00 00 00 00 48 8b 44 24 08 eb c0"
)

func TestForwarder(t *testing.T) {
	for _, c := range []struct{ name, code string }{
		{"as compiled", enter + rest + more},
		{"without a stack bound", push + frame16 + rest},
		{"without a frame of its own", bound + push + load + deref + callCX + leave},
		{"a far stack bound", "49 3b 66 10 0f 86 00 02 00 00 " + push + frame16 + rest},
		{"a long instruction for the frame", bound + push + "48 81 ec 10 00 00 00 " + load + deref + callCX + "48 81 c4 10 00 00 00 " + leave},
		{"all that callers have", bound + push + "48 83 ec 18 " + load + deref + callCX + "48 83 c4 18 " + leave},
		{"padding", enter + "0f 1f 40 00 " + load + "66 90 " + deref + callCX + unwind16 + "90 5d 90 c3"},
		{"through AX", enter + load + "48 8b 02 ff d0 " + unwind16 + leave},
		{"through R8", enter + load + "4c 8b 02 41 ff d0 " + unwind16 + leave},
		{"through R12", enter + load + "4c 8b 22 41 ff d4 " + unwind16 + leave},
		{"through a thunk", enter + load + deref + "e8 CX " + unwind16 + leave},
		{"through another thunk", enter + load + "48 8b 02 e8 AX " + unwind16 + leave},
		// 16 bytes of frame, saved BP and return address: spill slots begin at 32.
		{"arguments spilled", enter + "48 89 44 24 20 48 89 5c 24 28 " + rest},
		{"a byte spilled", enter + "88 44 24 20 " + rest},
		{"a float spilled", enter + "f2 0f 11 44 24 20 f3 0f 11 4c 24 28 " + rest},
		{"spilled far away", enter + "48 89 84 24 00 01 00 00 " + rest},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, entry := forwardImage(c.code)
			if err := Forwarder(img, entry, keyAt); err != nil {
				t.Error(err)
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
		// What the callee is given on the stack.
		{"more than callers have", bound + push + "48 83 ec 20 " + load + deref + callCX + "48 83 c4 20 " + leave, "48 8b 15", "32 bytes of stack"},
		{"much more", bound + push + "48 81 ec 80 00 00 00 " + load + deref + callCX + "48 81 c4 80 00 00 00 " + leave, "48 8b 15", "128 bytes of stack"},
		{"a negative frame", bound + push + "48 83 ec f0 " + load + deref + callCX + "48 83 c4 f0 " + leave, "48 8b 15", "bytes of stack"},
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
		{"a store over the saved BP", enter + "48 89 44 24 10 " + rest, "48 89 44 24 10", "load of the variable"},
		{"over the return address", enter + "48 89 44 24 18 " + rest, "48 89 44 24 18", "load of the variable"},
		{"half over the return address", enter + "48 89 44 24 1c " + rest, "48 89 44 24 1c", "load of the variable"},
		{"below the stack", enter + "48 89 44 24 f8 " + rest, "48 89 44 24 f8", "load of the variable"},
		{"far below the stack", enter + "48 89 84 24 00 ff ff ff " + rest, "48 89 84 24 00 ff ff ff", "load of the variable"},
		{"a float on the stack", enter + "f2 0f 11 04 24 " + rest, "f2 0f 11 04 24", "load of the variable"},
		{"a store with an index", enter + "48 89 44 04 20 " + rest, "48 89 44 04 20", "load of the variable"},
		{"a store elsewhere", enter + "48 89 03 " + rest, "48 89 03", "load of the variable"},
		{"a store by another base", enter + "48 89 45 20 " + rest, "48 89 45 20", "load of the variable"},
		{"a store by R12", enter + "49 89 44 24 20 " + rest, "49 89 44 24 20", "load of the variable"},
		{"a store with R12 as index", enter + "4a 89 44 24 20 " + rest, "4a 89 44 24 20", "load of the variable"},
		{"a store to a segment", enter + "64 48 89 44 24 20 " + rest, "64 48 89 44 24 20", "load of the variable"},
		{"a store of a constant", enter + "c7 44 24 20 01 00 00 00 " + rest, "c7 44 24 20", "load of the variable"},
		{"a spilled argument loaded", enter + "48 8b 44 24 20 " + rest, "48 8b 44 24 20", "load of the variable"},
		{"another call first", enter + "e8 other " + rest, "e8", "load of the variable"},
		{"a condition", enter + "48 85 c0 74 10 " + rest, "48 85 c0", "load of the variable"},
		// The load.
		{"another variable", enter + "48 8b 15 K+0@8 " + deref + callCX + unwind16 + leave, "48 8b 15", "load of the variable"},
		{"the variable's address", enter + "48 8d 15 K " + deref + callCX + unwind16 + leave, "48 8d 15", "load of the variable"},
		{"half of the variable", enter + "8b 15 K " + deref + callCX + unwind16 + leave, "8b 15", "load of the variable"},
		{"into another register", enter + "48 8b 0d K 48 8b 11 ff d2 " + unwind16 + leave, "48 8b 0d", "load of the variable"},
		{"into R10", enter + "4c 8b 15 K 49 8b 0a ff d1 " + unwind16 + leave, "4c 8b 15", "load of the variable"},
		{"not loaded through", enter + load + "ff d2 " + unwind16 + leave, "ff d2", "load of the variable"},
		{"another word of the closure", enter + load + "48 8b 4a 08 " + callCX + unwind16 + leave, "48 8b 4a 08", "load of the variable"},
		{"half of the code address", enter + load + "8b 0a " + callCX + unwind16 + leave, "8b 0a", "load of the variable"},
		{"loaded by R10", enter + load + "49 8b 0a " + callCX + unwind16 + leave, "49 8b 0a", "load of the variable"},
		{"with an index", enter + load + "48 8b 0c 02 " + callCX + unwind16 + leave, "48 8b 0c 02", "load of the variable"},
		{"by a segment", enter + load + "64 48 8b 0a " + callCX + unwind16 + leave, "64 48 8b 0a", "load of the variable"},
		// The call.
		{"a register between", enter + load + deref + "48 89 c3 " + callCX + unwind16 + leave, "48 89 c3", "call of the loaded"},
		{"a spill between", enter + load + deref + "48 89 44 24 20 " + callCX + unwind16 + leave, "48 89 44 24 20", "call of the loaded"},
		{"another register called", enter + load + deref + "ff d0 " + unwind16 + leave, "ff d0", "call of the loaded"},
		{"R9 called, not CX", enter + load + deref + "41 ff d1 " + unwind16 + leave, "41 ff d1", "call of the loaded"},
		{"CX called, not R9", enter + load + "4c 8b 0a ff d1 " + unwind16 + leave, "ff d1", "call of the loaded"},
		{"a call by memory", enter + load + deref + "ff 12 " + unwind16 + leave, "ff 12", "call of the loaded"},
		{"a tail jump", enter + load + deref + "ff e1 ", "ff e1", "call of the loaded"},
		{"the thunk of another register", enter + load + deref + "e8 AX " + unwind16 + leave, "e8", "call of the loaded"},
		{"a call of no thunk", enter + load + deref + "e8 other " + unwind16 + leave, "e8", "call of the loaded"},
		{"a call into a thunk", enter + load + deref + "e8 inside " + unwind16 + leave, "e8", "call of the loaded"},
		{"a jump to a thunk", enter + load + deref + "e9 CX " + unwind16 + leave, "e9", "call of the loaded"},
		// Behind the call.
		{"a result changed", enter + load + deref + callCX + "48 ff c0 " + unwind16 + leave, "48 ff c0", "results"},
		{"results exchanged", enter + load + deref + callCX + "48 93 " + unwind16 + leave, "48 93", "results"},
		{"a result from the stack", enter + load + deref + callCX + "48 8b 04 24 " + unwind16 + leave, "48 8b 04 24", "results"},
		{"a constant result", enter + load + deref + callCX + "31 c0 " + unwind16 + leave, "31 c0", "results"},
		{"a result changed late", enter + load + deref + callCX + unwind16 + "48 ff c0 " + leave, "48 ff c0", "end of the function"},
		{"and very late", enter + load + deref + callCX + unwind16 + "5d 48 ff c0 c3", "48 ff c0", "end of the function"},
		{"another call", enter + load + deref + callCX + "e8 other " + unwind16 + leave, "e8", "results"},
		{"the frame not given back", enter + load + deref + callCX + leave, "5d", "frame of 16 bytes"},
		{"another frame given back", enter + load + deref + callCX + "48 83 c4 18 " + leave, "5d", "frame of 16 bytes"},
		{"a frame that was not taken", bound + push + load + deref + callCX + unwind16 + leave, "5d", "frame of 0 bytes"},
		{"BP not restored", enter + load + deref + callCX + unwind16 + "c3", "c3", "end of the function"},
		{"a return that pops", enter + load + deref + callCX + unwind16 + "5d c2 08 00", "c2 08 00", "end of the function"},
		// The entry.
		{"no frame", bound + rest, "48 8b 15", "entry of a compiled function"},
		{"another entry", "90 " + rest, "90", "entry of a compiled function"},
		{"a large stack bound", "4c 8d a4 24 80 f0 ff ff 4d 3b 66 10 76 20 " + push + frame16 + rest, "4c 8d a4 24", "entry of a compiled function"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, entry := forwardImage(c.code)
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

// TestForwarderArgs: how much stack its callers have is asked of the very function.
func TestForwarderArgs(t *testing.T) {
	for name, want := range map[string]bool{"main.Forward": true, "noargs.Forward": false} {
		img, _ := forwardImage("")
		err := Forwarder(img, img.add(name, enter+rest), keyAt)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "callers of this function have 0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForwarderCut: code that ends anywhere is refused.
func TestForwarderCut(t *testing.T) {
	whole, _ := forwardImage("")
	start := len(whole.bytes)
	for _, code := range []string{enter + rest, push + load + deref + callCX + leave, enter + "48 89 44 24 20 " + load + deref + "e8 CX " + unwind16 + leave} {
		img, entry := forwardImage(code)
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
	if err := Forwarder(whole, 0x1000, keyAt); !errors.Is(err, ErrForwarder) {
		t.Errorf("outside of text: %v", err)
	}
}

// TestForwarderChanged changes single bits of a forwarder: none may pass that does anything
// else.
func TestForwarderChanged(t *testing.T) {
	img, entry := forwardImage(enter + "48 89 44 24 20 " + rest)
	at := int(entry - textAt)
	harmless := map[string]bool{
		"5":     true,                                                                                           // the distance to the code that gets more stack
		"14 4c": true,                                                                                           // R8 is spilled, not AX
		"14 40": true,                                                                                           // half of it is
		"15 88": true,                                                                                           // one byte
		"16 4c": true, "16 54": true, "16 5c": true, "16 64": true, "16 6c": true, "16 74": true, "16 7c": true, // other registers
		"18 21": true, "18 22": true, "18 24": true, "18 28": true, "18 30": true, "18 60": true, // elsewhere among the slots
	}
	for off := range len(img.bytes) - at {
		for bit := range 8 {
			changed := *img
			changed.bytes = slices.Clone(img.bytes)
			b := &changed.bytes[at+off]
			*b ^= 1 << bit
			what := fmt.Sprintf("%d %02x", off, *b)
			if err := Forwarder(&changed, entry, keyAt); err == nil && !harmless[what] && !harmless[fmt.Sprint(off)] {
				t.Errorf("byte %d changed from %02x to %02x: passed", off, img.bytes[at+off], *b)
			}
		}
	}
}

func FuzzForwarder(f *testing.F) {
	img, entry := forwardImage(enter + rest)
	f.Add(img.bytes[entry-textAt:])
	f.Fuzz(func(t *testing.T, code []byte) {
		img, _ := forwardImage("")
		entry := textAt + uint64(len(img.bytes))
		img.bytes = append(img.bytes, code...)
		if err := Forwarder(img, entry, keyAt); err != nil && !errors.Is(err, ErrForwarder) {
			t.Errorf("%v does not wrap ErrForwarder", err)
		}
	})
}
