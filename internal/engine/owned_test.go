package engine

import (
	"strings"
	"testing"
	"unsafe"
)

// boolWord is a key as others declare them.
type boolWord struct{ v int64 }

func (w *boolWord) Load() int64   { return w.v }
func (w *boolWord) Store(v int64) { w.v = v }

// TestOwnedEnvironment: patterns of the environment leave keys of something larger alone, and to name one is
// a problem that says what to use.
func TestOwnedEnvironment(t *testing.T) {
	t.Setenv(envKeys, "net.*=1,net.mute=1,only.owned*=1")
	e := newEngine()
	var free, owned, other boolWord
	for name, w := range map[string]*boolWord{"net.free": &free, "net.mute": &owned, "only.owned": &other} {
		if name != "net.free" {
			e.Own(unsafe.Pointer(w), "its own package")
		}
		if err := e.Register(NewKey(unsafe.Pointer(w), 8, w), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if free.v != 1 || owned.v != 0 || other.v != 0 {
		t.Errorf("free %d, owned %d, %d; expected 1, 0, 0", free.v, owned.v, other.v)
	}
	if text := strings.Join(e.problems, "\n"); len(e.problems) != 1 || !strings.Contains(text, "net.mute=1 ignored") || !strings.Contains(text, "use its own package") {
		t.Errorf("problems: %q", e.problems)
	}
	if u := e.unusedRules(); len(u) != 1 || !strings.Contains(u[0], "only.owned*=1") {
		t.Errorf("unused: %q", u)
	}
}
