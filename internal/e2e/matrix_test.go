//go:build linux && amd64

package e2e

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/gobin"
	"github.com/quietpatch/quietpatch/internal/site"
)

// toolchains are the other Go versions that are promised to work; the one that
// runs the tests is the third.
var toolchains = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

type variant struct {
	name   string
	env    []string
	flags  []string
	memory bool // keys are read from memory, by design
	slow   bool // sites need not be found, only be right
}

var variants = []variant{
	{name: "default"},
	{name: "pie", flags: []string{"-buildmode=pie"}},
	{name: "stripped", flags: []string{"-ldflags=-s -w"}},
	{name: "pie stripped", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}},
	{name: "trimpath", flags: []string{"-trimpath"}},
	{name: "external cgo", env: []string{"CGO_ENABLED=1"}, flags: []string{"-tags=withcgo", "-ldflags=-linkmode=external"}},
	{
		name: "external cgo pie stripped", env: []string{"CGO_ENABLED=1"},
		flags: []string{"-tags=withcgo", "-buildmode=pie", "-ldflags=-linkmode=external -s -w"},
	},
	{name: "GOAMD64=v1", env: []string{"GOAMD64=v1"}},
	{name: "GOAMD64=v3", env: []string{"GOAMD64=v3"}},
	{name: "no optimization", flags: []string{"-gcflags=all=-N -l"}, slow: true},
	{name: "cover", flags: []string{"-cover", "-coverpkg=./...,github.com/quietpatch/quietpatch/statickey"}, slow: true},
	{name: "race", env: []string{"CGO_ENABLED=1"}, flags: []string{"-race"}, memory: true},
}

// TestBuildMatrix builds prog in every way and hammers each build for real.
func TestBuildMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the matrix compiles the standard library many times")
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { tryVariant(t, v) })
	}
}

// TestVersions does the same for the other Go versions: default, PIE, stripped.
func TestVersions(t *testing.T) {
	if !*long && os.Getenv("CI") == "" {
		t.Skip("needs -long or CI=true: downloads the toolchains ", strings.Join(toolchains, ", "))
	}
	for _, tc := range toolchains {
		t.Run(tc, func(t *testing.T) {
			env := []string{"GOTOOLCHAIN=" + tc}
			cmd := exec.Command("go", "version")
			cmd.Env = append(os.Environ(), env...)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), tc) {
				t.Fatalf("toolchain %s cannot be had: %v: %s", tc, err, out)
			}
			for _, v := range []variant{
				{name: "default"},
				{name: "pie stripped", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}},
				{name: "no optimization", flags: []string{"-gcflags=all=-N -l"}, slow: true},
			} {
				v.env = append(v.env, env...)
				t.Run(v.name, func(t *testing.T) { tryVariant(t, v) })
			}
		})
	}
}

func tryVariant(t *testing.T, v variant) {
	bin := build(t, v.env, v.flags...)
	var s sitesReport
	run(t, &s, bin, "sites")
	checkEmitted(t, v, &s)
	checkFile(t, v, bin, &s)

	var r report
	run(t, &r, bin, "hammer", "-flips", "500", "-strategy", "store")
	if r.Wrong != 0 || r.Flips != 500 {
		t.Errorf("store: %d flips, %d wrong: %s", r.Flips, r.Wrong, r.First)
	}
	run(t, &r, bin, "hammer", "-flips", "100", "-strategy", "int3")
	if r.Wrong != 0 || r.Flips != 100 {
		t.Errorf("int3: %d flips, %d wrong: %s", r.Flips, r.Wrong, r.First)
	}
	wantMode := "live"
	if v.memory {
		wantMode = "memory"
	}
	if !v.memory {
		live(t, r.Status)
	}
	if r.Status.Mode != wantMode || (v.memory && !strings.Contains(r.Status.Reason, "-race")) {
		t.Errorf("mode %s (%s), expected %s", r.Status.Mode, r.Status.Reason, wantMode)
	}
	for _, strategy := range []string{"store", "int3"} {
		var n numbersReport
		run(t, &n, bin, "numbers", "-strategy", strategy, "-each", "40")
		n.check(t)
	}
	var status map[string]any
	run(t, &status, bin, "wait")
}

// progKeys is how many keys prog registers: hammer, other, wait, four numbers, a counted
// and a sealed one.
const progKeys = 9

// checkFile reads the binary from disk: keys by name, stripped or not, and the
// very sites that the running program found.
func checkFile(t *testing.T, v variant, bin string, s *sitesReport) {
	t.Helper()
	f, err := gobin.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys, err := f.Keys()
	// Where the file names variables it shows the one of package isolate, too.
	keys = slices.DeleteFunc(keys, func(k gobin.Key) bool { return strings.HasSuffix(k.Symbol, "quietpatch/isolate.tracked") })
	if err != nil || len(keys) != progKeys {
		t.Fatalf("%d keys in the file, expected %d: %v", len(keys), progKeys, err)
	}
	for _, k := range keys {
		live, known := s.Sites[k.Name]
		if !known || v.memory {
			continue
		}
		found := site.Find(f, []site.Key{{Addr: k.Addr, Width: k.Width}})
		if len(found) != len(live) {
			t.Errorf("%s: %d sites in the file, %d in the program", k.Name, len(found), len(live))
			continue
		}
		for i := range found {
			bias := live[0].Addr - found[0].Addr
			if found[i].Addr+bias != live[i].Addr || found[i].Form.String() != live[i].Form || found[i].Patchable() != (live[i].Why == "") {
				t.Errorf("%s, site %d: %+v in the file, %+v in the program", k.Name, i, found[i], live[i])
			}
			if file, line := f.Place(found[i].Addr, site.OurFile); file != live[i].File || line != live[i].Line {
				t.Errorf("%s, site %d: at %s:%d in the file, %s:%d in the program", k.Name, i, file, line, live[i].File, live[i].Line)
			}
		}
	}
}

// emitted is what the compiler makes of each function of prog/checks.go, by
// the form of its first site. A line that changes with a Go version is a
// change worth knowing, and maybe a form worth adding.
var emitted = map[string]string{
	"main.ifOn": "cmp-byte", "main.ifOff": "cmp-byte", "main.enabled": "movzx-byte", "main.disabled": "movzx-byte",
	"main.and": "cmp-byte", "main.pick": "movzx-byte cmp-byte", "main.inLoop": "movzx-byte cmp-byte", "main.many": "movzx-byte cmp-byte",
	"main.tenValues": "movzx-byte", "main.inlinedTwice": "movzx-byte cmp-byte", "main.small": "movzx-byte cmp-byte",
	"main.closure.func1": "cmp-byte", "main.typed[...]": "movzx-byte cmp-byte", "main.deferred.func1": "cmp-byte",
	"main.(*counter).add": "cmp-byte", "main.floats": "movzx-byte cmp-byte",
}

func checkEmitted(t *testing.T, v variant, s *sitesReport) {
	t.Helper()
	if v.memory || v.slow {
		return
	}
	count := map[string]int{}
	for _, site := range s.Sites["prog.hammer"] {
		if site.State != "armed" {
			t.Errorf("%s:%d %s (%s) is not armed: %s", site.File, site.Line, site.Func, site.Form, site.Why)
		}
		forms, known := emitted[site.Func]
		if known && !strings.Contains(forms, site.Form) {
			t.Errorf("%s:%d %s: form %s, expected %s", site.File, site.Line, site.Func, site.Form, forms)
		}
		count[site.Func]++
	}
	for fn := range emitted {
		if count[fn] == 0 {
			t.Errorf("no site in %s", fn)
		}
	}
	if count["main.tenValues"] != 10 || count["main.many"] != 10 {
		t.Errorf("%d sites in tenValues and %d in many, expected 10 each", count["main.tenValues"], count["main.many"])
	}
	checkNumbersEmitted(t, s)
	if len(s.Keys) != progKeys {
		t.Errorf("%d keys, expected %d: %+v", len(s.Keys), progKeys, s.Keys)
	}
}

// emittedNumbers is the same for prog/numbers.go: each function has sites of all of its
// forms, and of no other.
var emittedNumbers = map[string]string{
	"prog.int32 main.compares32": "cmp-long mov-long", "prog.int32 main.threeWay32": "mov-long", "prog.int32 main.switch32": "mov-long",
	"prog.int32 main.loads32": "mov-long movsl-quad", "prog.int64 main.compares64": "cmp-quad mov-quad", "prog.int64 main.far64": "mov-quad",
	"prog.int64 main.loads64": "mov-quad", "prog.uint32 main.comparesU32": "cmp-long mov-long", "prog.uint32 main.loadsU32": "mov-long",
	"prog.duration main.comparesD": "cmp-quad mov-quad", "prog.duration main.loadsD": "mov-quad",
	"prog.counted main.counted": "movzx-byte", "prog.sealed main.sealed": "movzx-byte",
}

func checkNumbersEmitted(t *testing.T, s *sitesReport) {
	t.Helper()
	found := map[string]map[string]bool{}
	for key, sites := range s.Sites {
		for _, site := range sites {
			where := key + " " + site.Func
			if emittedNumbers[where] == "" {
				continue
			}
			if site.State != "armed" {
				t.Errorf("%s: %s:%d (%s) is not armed: %s", where, site.File, site.Line, site.Form, site.Why)
			}
			if found[where] == nil {
				found[where] = map[string]bool{}
			}
			found[where][site.Form] = true
		}
	}
	for where, forms := range emittedNumbers {
		if got := strings.Join(slices.Sorted(maps.Keys(found[where])), " "); got != forms {
			t.Errorf("%s: forms %q, expected %q", where, got, forms)
		}
	}
}
