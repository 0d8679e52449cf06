package sitelist

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKinds: every kind of key is listed by name with its checks at the lines that
// make them, in a stripped program, too.
func TestKinds(t *testing.T) {
	for name, flags := range map[string]string{"plain": "", "stripped": "-s -w"} {
		t.Run(name, func(t *testing.T) {
			bin := filepath.Join(t.TempDir(), "tunables")
			cmd := exec.Command("go", "build", "-ldflags="+flags, "-o", bin, "github.com/quietpatch/quietpatch/examples/tunables")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			l, err := Read(bin)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]int{ // patchable checks
				"queue.batch": 2, "queue.timeout": 0, "queue.watched": 1, "queue.strict": 1, "queue/send": 1,
				"queue.log": 2, "queue.log.mute-warn": 1, "queue.log.mute-info": 0, "queue.log.mute-error": 0,
			}
			for _, k := range l.Keys {
				n := 0
				for _, s := range k.Sites {
					if s.Patchable {
						n++
					}
					if !strings.HasSuffix(s.File, "examples/tunables/main.go") || s.Line == 0 {
						t.Errorf("%s: %+v", k.Name, s)
					}
				}
				if m, ok := want[k.Name]; !ok || m != n {
					t.Errorf("%s: %d patchable checks, expected %d: %+v", k.Name, n, m, k.Sites)
				}
				delete(want, k.Name)
			}
			if len(want) > 0 || len(l.Notes) > 0 {
				t.Errorf("not listed: %v; notes %q", want, l.Notes)
			}
		})
	}
}
