package gobin

import (
	"os"
	"sync"
	"testing"
)

// bases are the files to mutate: small ones made by hand, which are quick, and
// real programs. The order is part of the corpus; add at the end.
var bases = []struct {
	name  string
	synth *synth
	prog  config
}{
	{name: "synth", synth: &synth{sections: true}},
	{name: "synth-pie", synth: &synth{sections: true, pie: true}},
	{name: "synth-headless", synth: &synth{}},
	{name: "static", prog: config{name: "default", pkg: "./plain"}},
	{name: "static-plain-dwarf", prog: config{name: "plain-dwarf", pkg: "./plain", args: []string{"-ldflags=-compressdwarf=false"}}},
	{name: "static-stripped", prog: config{name: "ldflags-s-w", pkg: "./plain", args: []string{"-ldflags=-s -w"}}},
	{name: "pie", prog: config{name: "pie", pkg: "./plain", args: []string{"-buildmode=pie"}}},
	{name: "pie-stripped", prog: config{name: "pie-ldflags-s-w", pkg: "./plain", args: []string{"-buildmode=pie", "-ldflags=-s -w"}}},
	{name: "external", prog: config{name: "external", pkg: "./cgo", args: externalLink}},
	{name: "external-pie", prog: config{name: "external-pie", pkg: "./cgo", args: externalPIE}},
	{name: "c-shared", prog: config{name: "c-shared", pkg: "./cgo", args: []string{"-buildmode=c-shared"}}},
	{name: "spectre-ret", prog: config{name: "spectre-ret-app", pkg: "./plain", args: []string{"-gcflags=github.com/quietpatch/quietpatch/...=-spectre=ret"}}},
}

// synthBases is how many of the bases are made by hand.
const synthBases = 3

var (
	basesLock sync.Mutex
	basesMade = map[int]*base{}
)

// getBase makes a base when it is first used.
func getBase(t *testing.T, i int) *base {
	t.Helper()
	basesLock.Lock()
	defer basesLock.Unlock()
	if bs := basesMade[i]; bs != nil {
		return bs
	}
	var file []byte
	if s := bases[i].synth; s != nil {
		file = s.withSites()
	} else {
		var err error
		if file, err = os.ReadFile(build(t, bases[i].prog)); err != nil {
			t.Fatal(err)
		}
	}
	basesMade[i] = newBase(t, bases[i].name, file)
	return basesMade[i]
}

// withSites is the synthetic file with a compare and a load of the key in main.main.
func (s synth) withSites() []byte {
	b := buffer(s.build())
	at := synText + 0x80
	for _, in := range []struct {
		code string
		disp int
	}{{"\x80\x3d\x00\x00\x00\x00\x00", 2}, {"\x74\x00", 0}, {"\x0f\xb6\x05\x00\x00\x00\x00", 3}, {"\xc3", 0}} {
		n := copy(b[at:], in.code)
		if in.disp != 0 {
			b.u32(at+in.disp, uint32(synKey-(at+n)))
		}
		at += n
	}
	return b
}
