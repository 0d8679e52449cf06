package bench

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/prog"
)

const most = 100_000

func testPlan(t *testing.T) *plan {
	t.Helper()
	p, err := newPlan(most)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlan counts keys and sites: the result says 100,000 of 10,000.
func TestPlan(t *testing.T) {
	p := testPlan(t)
	if len(p.sizes) != most/sitesPerKey || len(p.sizes) > prog.KeysMax {
		t.Errorf("%d keys, want %d, at most %d", len(p.sizes), most/sitesPerKey, prog.KeysMax)
	}
	placed := make([]int, len(p.sizes))
	sites, values := 0, 0
	for _, f := range p.funcs {
		for _, s := range f {
			placed[s.key]++
			sites++
			if s.value {
				values++
			}
		}
	}
	if sites != most || values != most/valueEvery {
		t.Errorf("%d sites, %d of them values; want %d, %d", sites, values, most, most/valueEvery)
	}
	for key, n := range p.sizes {
		if n < 1 || placed[key] != n {
			t.Fatalf("key %d has %d sites by size, %d in the text", key, n, placed[key])
		}
	}
}

func TestGroups(t *testing.T) {
	p := testPlan(t)
	var sites []int
	for _, g := range p.groups {
		sites = append(sites, g.sites)
		sum := 0
		for _, n := range p.sizes[g.from:g.to] {
			sum += n
		}
		if sum != g.sites {
			t.Errorf("keys %d to %d have %d sites, the group says %d", g.from, g.to, sum, g.sites)
		}
		if len(g.busy) == 0 || len(g.busy) > busyFuncs {
			t.Errorf("%d functions for the busy thread, want 1 to %d", len(g.busy), busyFuncs)
		}
		for _, f := range g.busy {
			holds := false
			for _, s := range p.funcs[f] {
				holds = holds || g.from <= s.key && s.key < g.to
			}
			if !holds {
				t.Errorf("function %d of the busy thread has no site of keys %d to %d", f, g.from, g.to)
			}
		}
	}
	want := []int{1, 10, 100, 1000, 10_000, 10_000, 10_000, 100_000}
	if len(sites) != len(want) {
		t.Fatalf("groups of %v sites, want %v", sites, want)
	}
	for i := range want {
		if sites[i] != want[i] {
			t.Errorf("groups of %v sites, want %v", sites, want)
		}
	}
}

// TestLayout: the dense key's functions are in packages of their own.
// TestSmallPlans: every size that can be asked for has a plan.
func TestSmallPlans(t *testing.T) {
	for _, n := range SiteCounts() {
		p, err := newPlan(n)
		if err != nil {
			t.Error(err)
			continue
		}
		if last := p.groups[len(p.groups)-1]; last.sites != n || last.to-last.from != len(p.sizes) {
			t.Errorf("%d sites: the last group is %+v", n, last)
		}
	}
	if _, err := newPlan(10); err == nil {
		t.Error("10 sites: no error, although they cannot hold all rows")
	}
}

func TestLayout(t *testing.T) {
	p := testPlan(t)
	for pkg, r := range p.inPkg {
		for _, f := range p.funcs[r[0]:r[1]] {
			for _, s := range f {
				if p.denseKey(s.key) != (pkg < densePackages) {
					t.Fatalf("package %d has a site of key %d", pkg, s.key)
				}
			}
		}
	}
	if last := p.inPkg[len(p.inPkg)-1][1]; last != len(p.funcs) || len(p.inPkg) != packageCount {
		t.Errorf("%d packages with %d functions, want %d, %d", len(p.inPkg), last, packageCount, len(p.funcs))
	}
}

func TestSpread(t *testing.T) {
	for _, c := range [][2]int{{1, 1}, {3, 10}, {1000, 10_000}, {7, 8}} {
		sum := 0
		for _, n := range spread(c[0], c[1]) {
			if n < 1 {
				t.Errorf("spread%v has a key with %d sites", c, n)
			}
			sum += n
		}
		if sum != c[1] {
			t.Errorf("spread%v makes %d sites", c, sum)
		}
	}
}

// TestWriteProgram: what is written parses, and has as many checks as planned.
func TestWriteProgram(t *testing.T) {
	dir := t.TempDir()
	if err := testPlan(t).writeProgram(dir); err != nil {
		t.Fatal(err)
	}
	check := regexp.MustCompile(`keys\.K\d+\.Enabled\(\)`)
	checks, files := 0, 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		if strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s: a test is no part of the program", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		checks += len(check.FindAll(text, -1))
		_, err = parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if checks != most || files < packageCount+5 {
		t.Errorf("%d checks in %d files, want %d in more than %d", checks, files, most, packageCount)
	}
}

// TestSame: two runs measure the same program, and the go command finds it built.
func TestSame(t *testing.T) {
	a, b := testPlan(t), testPlan(t)
	if string(a.funcsFile(5)) != string(b.funcsFile(5)) || string(a.keysFile()) != string(b.keysFile()) {
		t.Error("two plans make different programs")
	}
}
