package ipibpf

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// rawSlot is struct slot.
type rawSlot struct {
	Key                         rawKey
	State, Late, Judged, Passed uint32
}

// rawWork is struct work.
type rawWork struct {
	Pending, Running rawOrigin
	Func             uint64
}

// TestLayout compares the structures with those of the object: sizes, order and
// offsets of all fields.
func TestLayout(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c   btf.Type
		row any
	}{
		{spec.Maps["costs"].Key, rawCostKey{}},
		{spec.Maps["costs"].Value, rawCost{}},
		{spec.Maps["slots"].Value, rawSlot{}},
		{spec.Maps["works"].Value, rawWork{}},
		{spec.Maps["interrupted"].Key, rawThreadKey{}},
		{spec.Maps["interrupted"].Value, rawCost{}},
		{element(t, spec, "filter"), rawStep{}},
	} {
		sameLayout(t, btf.UnderlyingType(test.c).(*btf.Struct), reflect.TypeOf(test.row))
	}
	// Its types are not in the object; the key is part of a slot.
	if m := spec.Maps["rows"].InnerMap; m.KeySize != uint32(binary.Size(rawKey{})) || m.ValueSize != uint32(binary.Size(rawValue{})) {
		t.Errorf("a row has %d and %d bytes", m.KeySize, m.ValueSize)
	}
	if size := spec.Maps["stacks"].ValueSize; size != stackDepth*8 {
		t.Errorf("a stack has %d bytes", size)
	}
	programs := len(events)
	for _, e := range events {
		p := spec.Programs[e.program]
		if p == nil || p.SectionName != "raw_tracepoint/"+e.tracepoint {
			t.Errorf("event %+v: the object has %+v", e, p)
		}
		for _, f := range e.probes {
			p := spec.Programs[f.program]
			if p == nil || p.SectionName != "kprobe/"+f.function {
				t.Errorf("probe %+v: the object has %+v", f, p)
			}
			programs++
		}
	}
	if len(spec.Programs) != programs+2 {
		t.Errorf("%d programs; %d of events, whoami and judge", len(spec.Programs), programs)
	}
}

// element is what an array variable consists of.
func element(t *testing.T, spec *ebpf.CollectionSpec, variable string) btf.Type {
	t.Helper()
	array, ok := btf.UnderlyingType(spec.Variables[variable].Type.Type).(*btf.Array)
	if !ok {
		t.Fatalf("%s is no array", variable)
	}
	return array.Type
}

func sameLayout(t *testing.T, c *btf.Struct, g reflect.Type) {
	t.Helper()
	if int(c.Size) != int(g.Size()) || len(c.Members) != g.NumField() {
		t.Fatalf("%s: %d bytes, %d fields; %v: %d bytes, %d fields", c.Name, c.Size, len(c.Members), g, g.Size(), g.NumField())
	}
	for i, m := range c.Members {
		f := g.Field(i)
		if f.Name != "_" && !strings.EqualFold(f.Name, m.Name) || uintptr(m.Offset.Bytes()) != f.Offset {
			t.Errorf("%s.%s is at %d, %v.%s at %d", c.Name, m.Name, m.Offset.Bytes(), g, f.Name, f.Offset)
		}
		if s, ok := m.Type.(*btf.Struct); ok {
			sameLayout(t, s, f.Type)
		}
	}
}

// TestObject compiles the source again: the object that is checked in must be what comes out.
func TestObject(t *testing.T) {
	for _, tool := range []string{"clang-19", "llvm-strip-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing (Debian: apt-get install clang-19 llvm-19)", tool)
		}
	}
	dir := t.TempDir()
	sources, err := filepath.Glob("*.bpf.[ch]")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(sources, "doc.go") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "generate", "doc.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go generate: %v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "ipi_amd64.o"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, object) {
		t.Errorf("go generate makes another object: %d bytes, %d are checked in; run it and check it in", len(got), len(object))
	}
}
