//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

var testBackend = cmp.Or(os.Getenv("ENGINE_TEST_BACKEND"), "procmem")

func TestOtherBackend(t *testing.T) {
	if os.Getenv("ENGINE_TEST_BACKEND") != "" {
		t.Skip("this is the other backend")
	}
	for _, c := range [][2]string{{"alias", "."}, {"procmem", "TestConfigure"}, {"procmem", "TestRealRescue"}} {
		cmd := exec.Command(os.Args[0], "-test.run="+c[1])
		cmd.Env = append(os.Environ(), "ENGINE_TEST_BACKEND="+c[0])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("tests on %s: %v\n%s", c[0], err, out)
		}
	}
}

var everyStrategy = []string{"store", "int3", "one-at-a-time"}

func TestToggle(t *testing.T) {
	for _, strategy := range everyStrategy {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy).armed()
			w.shows(0, 0)
			for i := range 20 {
				v := int64(i+1) % 2
				if err := w.set(w.alpha, v); err != nil {
					t.Fatal(err)
				}
				w.shows(v, 0)
			}
			if err := w.Apply([]Change{{Key: w.alpha, Value: 0}, {Key: w.beta, Value: 0}, {Key: w.alpha, Value: 1}, {Key: w.beta, Value: 1}}); err != nil {
				t.Fatal(err)
			}
			w.shows(1, 1)
		})
	}
}

func TestSyncBudget(t *testing.T) {
	for strategy, want := range map[string]int{"store": 1, "int3": 3} {
		t.Run(strategy, func(t *testing.T) { syncBudget(t, strategy, want) })
	}
}

func syncBudget(t *testing.T, strategy string, want int) {
	w := newWorld(t, strategy).armed()
	before := w.f.syncs
	if err := w.Apply([]Change{{Key: w.alpha, Value: 1}, {Key: w.beta, Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := w.f.syncs - before; got != want {
		t.Errorf("%s: %d syncs for a batch of two keys, expected %d", strategy, got, want)
	}
	before = w.f.syncs
	if err := w.Apply([]Change{{Key: w.alpha, Value: 0}, {Key: w.alpha, Value: 1}, {Key: w.beta, Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(nil); err != nil {
		t.Fatal(err)
	}
	if got := w.f.syncs - before; got != 0 {
		t.Errorf("%s: %d syncs for batches that change nothing", strategy, got)
	}
}

func TestVectorSorted(t *testing.T) {
	w := newWorld(t, "int3").armed()
	if err := w.Apply([]Change{{Key: w.beta, Value: 1}, {Key: w.alpha, Value: 1}}); err != nil {
		t.Fatal(err)
	}
	v := w.f.vectors[len(w.f.vectors)-1]
	if len(v) != len(w.alpha.sites)+len(w.beta.sites) {
		t.Fatalf("%d entries for %d sites", len(v), len(w.alpha.sites)+len(w.beta.sites))
	}
	for i := 1; i < len(v); i++ {
		if v[i-1].Addr >= v[i].Addr {
			t.Fatalf("entry %d at %#x, entry %d at %#x", i-1, v[i-1].Addr, i, v[i].Addr)
		}
	}
	if err := w.Apply([]Change{{Key: w.beta, Value: 0}, {Key: w.alpha, Value: 0}}); err != nil {
		t.Fatal(err)
	}
}

func TestInt3WhileTraced(t *testing.T) {
	w := newWorld(t, "int3").armed()
	w.f.failReady = errInjected
	err := w.set(w.alpha, 1)
	if err == nil || !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "old value") {
		t.Errorf("error %v", err)
	}
	w.shows(0, 0)
	w.strategy = protocol.Store
	if err := w.set(w.alpha, 1); err != nil {
		t.Error(err)
	}
	w.shows(1, 0)
}

func TestDisarmOverwritten(t *testing.T) {
	w := newWorld(t, "store").armed()
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	alpha = false
	if err := w.Disarm(); err != nil {
		t.Fatal(err)
	}
	w.shows(1, 0)
}

func TestDisarm(t *testing.T) {
	w := newWorld(t, "store").armed()
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Disarm(); err != nil {
		t.Fatal(err)
	}
	w.shows(1, 0)
	if n := w.alpha.armed + w.beta.armed; n != 0 {
		t.Errorf("%d sites armed after Disarm", n)
	}
	if s := w.Status(); s.Mode != ModeMemory || !strings.Contains(s.Reason, "Disarm") {
		t.Errorf("status %+v", s)
	}
	pokes := w.f.pokes
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	if w.f.pokes != pokes {
		t.Error("text was written after Disarm")
	}
	w.shows(1, 1)
	w.armed()
	w.shows(1, 1)
}
