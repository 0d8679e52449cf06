//go:build linux && amd64

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch"
)

const manySites = 1000

// manyCallers is a file of prog: a thousand functions with one call. Whether they add to
// the argument before decides where the displacement lies: functions are aligned, and
// begin with the same code.
func manyCallers(shift int) string {
	var b, list strings.Builder
	b.WriteString("package main\n\n")
	argument := "x"
	if shift != 0 {
		argument = fmt.Sprintf("x + %d", shift)
	}
	for i := range manySites {
		fmt.Fprintf(&b, "//go:noinline\nfunc thousand%dth(x int) int { return Thousand(%s) + %d }\n\n", i, argument, i)
		fmt.Fprintf(&list, "\t\tthousand%dth,\n", i)
	}
	fmt.Fprintf(&b, "func init() {\n\tthousandShift = %d\n\tthousandCallers = []func(int) int{\n%s\t}\n}\n", shift, list.String())
	return b.String()
}

// buildMany builds prog with these functions in it.
func buildMany(t *testing.T, shift int) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	source, overlay := filepath.Join(tmp, "many.go"), filepath.Join(tmp, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "prog", "manycallers.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{source: manyCallers(shift), overlay: string(list)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return build(t, nil, "-overlay", overlay)
}

// TestCallsMany: an update of a function with a thousand call sites is one batch. By int3 it
// has three syncs; by stores one, if every displacement lies in one aligned quadword. A
// closure that is new needs one more.
func TestCallsMany(t *testing.T) {
	for name, shift := range map[string]int{"crossing": 0, "aligned": 1} {
		t.Run(name, func(t *testing.T) {
			bin := buildMany(t, shift)
			for _, v := range [][2]string{{"int3", "procmem"}, {"int3", "alias"}, {"store", "alias"}} {
				t.Run(v[0]+" "+v[1], func(t *testing.T) { tryMany(t, bin, v[0], v[1], name == "crossing") })
			}
		})
	}
}

func tryMany(t *testing.T, bin, strategy, backend string, crossing bool) {
	var r struct {
		Sites, Armed, Crossing, Wrong int
		Steps                         map[string]quietpatch.Counters
		Status                        quietpatch.State
	}
	run(t, &r, bin, "callsmany", strategy, backend)
	live(t, r.Status)
	for _, step := range []string{"arm", "update", "closure", "batch", "same"} {
		c := r.Steps[step]
		t.Logf("%s: %d batches, %d syncs, %d pokes", step, c.Batches, c.Syncs, c.Pokes)
	}
	if r.Sites != manySites || r.Armed != manySites || r.Wrong != 0 {
		t.Errorf("%d sites, %d armed, %d wrong calls; expected %d, all of them armed", r.Sites, r.Armed, r.Wrong, manySites)
	}
	if (r.Crossing > 0) != crossing {
		t.Fatalf("%d displacements cross a quadword: the generated functions are not what this test is about", r.Crossing)
	}
	syncs := uint64(3)
	if strategy == "store" && !crossing {
		syncs = 1
	}
	// These are far from each other: all four bytes differ. A new stub has a sync of its own.
	for step, more := range map[string]uint64{"closure": 1, "batch": 0} {
		if c := r.Steps[step]; c.Batches != 1 || c.Syncs != syncs+more || c.Fallbacks != 0 {
			t.Errorf("%s: %d batches, %d syncs, %d fallbacks; expected one batch with %d syncs", step, c.Batches, c.Syncs, c.Fallbacks, syncs+more)
		}
	}
	if c := r.Steps["same"]; c.Batches+c.Syncs+c.Pokes != 0 {
		t.Errorf("an update that changes nothing: %+v", c)
	}
}
