package bench

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/prog"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Time: -time.Second}, "-1s"},
		{Options{Time: time.Hour}, "1h0m0s"},
		{Options{Time: time.Second, Backends: []string{"alias", "nonsense"}}, `"nonsense"`},
		{Options{Time: time.Second, Sites: 77}, "77"},
	} {
		if err := c.o.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error that names %s", c.o, err, c.want)
		}
	}
}

func TestNoToolchain(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("refused earlier on ", runtime.GOOS)
	}
	t.Setenv("PATH", t.TempDir())
	_, err := Run(t.Context(), Options{}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "Go toolchain in PATH") {
		t.Errorf("%v, want an error about the toolchain", err)
	}
}

func TestModule(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	lib := func(m debug.Module) *debug.BuildInfo {
		m.Path = libraryModule
		return &debug.BuildInfo{Main: debug.Module{Path: "other"}, Deps: []*debug.Module{{Path: "another", Version: "v9.0.0"}, &m}}
	}
	for _, c := range []struct {
		info *debug.BuildInfo
		want module
	}{
		{lib(debug.Module{Version: "v1.2.3"}), module{version: "v1.2.3"}},
		{lib(debug.Module{Version: "v0.0.0", Replace: &debug.Module{Path: dir}}), module{dir: dir}},
		{lib(debug.Module{Version: "v0.0.0", Replace: &debug.Module{Path: "./"}}), module{}},
		{lib(debug.Module{Version: "(devel)"}), module{}},
		{&debug.BuildInfo{}, module{}},
	} {
		got, err := moduleOf(c.info)
		if got != c.want || (err == nil) != (c.want != module{}) {
			t.Errorf("%+v: %+v, %v; want %+v", c.info, got, err, c.want)
		}
	}
	if m := (module{version: "v1.2.3"}).goMod(); !strings.Contains(m, libraryModule+" v1.2.3\n") || strings.Contains(m, "replace") {
		t.Errorf("go.mod for a version:\n%s", m)
	}
	if m := (module{dir: dir}).goMod(); !strings.Contains(m, "replace "+libraryModule+" => \""+dir+"\"\n") {
		t.Errorf("go.mod for a folder:\n%s", m)
	}
}

// TestScale builds and runs a small program.
func TestScale(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs live text")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs two CPUs")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var said bytes.Buffer
	r, err := Run(t.Context(), Options{Sites: 1000, Time: time.Millisecond}, &said)
	if err != nil && strings.Contains(err.Error(), "text cannot be patched here") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	checkFlips(t, r)
	if d := r.Discovery; d == nil || d.Sites != 990 || d.Keys != 99 || d.NS <= 0 || d.OneKeyNS <= 0 || d.BytesPerSite <= 0 || d.HeapPerSite <= 0 {
		t.Errorf("discovery %+v, want 990 sites of 99 keys, and numbers", d)
	}
	cases := map[string]bool{}
	for _, c := range r.Checks {
		cases[c.Case] = true
	}
	for _, name := range []string{"key hot 1", "key hot 32", "bool evicted 1", "atomic.Bool cold 32", "slog.Enabled hot 1"} {
		if !cases[name] {
			t.Errorf("case %q is missing in %+v", name, r.Checks)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "quietpatch-bench-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// checkFlips looks at what does not depend on the machine's mood.
func checkFlips(t *testing.T, r *Result) {
	t.Helper()
	rows := map[string]int{}
	for _, f := range r.Flips {
		rows[f.Backend]++
		want := map[string]float64{"store": 1, "nowait": 0, "int3": 3, "one-at-a-time": 3 * float64(f.Sites)}[f.Strategy]
		if f.Syncs != want || f.Verified != f.Sites || f.FlipNS <= 0 {
			t.Errorf("%+v: want %v syncs, all sites verified, and a time", f, want)
		}
	}
	const groups = 6
	for _, backend := range Backends() {
		if n := rows[backend]; n != 0 && n != groups*4 {
			t.Errorf("%d rows on %s, want %d", n, backend, groups*4)
		}
	}
	if len(rows) == 0 || r.SyncNS <= 0 {
		t.Errorf("no rows, or no bare sync: %+v", r)
	}
}

// TestBuildFails: the compiler's words reach the user, and nothing is left.
func TestBuildFails(t *testing.T) {
	tool, err := goTool()
	if err != nil {
		t.Skip(err)
	}
	p := &program{dir: t.TempDir(), tool: tool}
	p.binary = filepath.Join(p.dir, "out")
	for name, text := range map[string]string{"go.mod": "module x\n", "main.go": "package main\n\nfunc main() { nonsense() }\n"} {
		if err := writeFile(filepath.Join(p.dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.compile(t.Context(), p.binary); err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("%v, want the compiler's error", err)
	}
}

// TestBuildFailsCleanly: with a go command that finds the module but cannot build.
func TestBuildFailsCleanly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell script")
	}
	bin, tmp := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = list ]; then echo " + bin + "; exit 0; fi\necho no compiler today >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "go.mod"), []byte("module x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("TMPDIR", tmp)
	if _, err := build(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "no compiler today") {
		t.Errorf("%v, want what the go command said", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCleanEnv(t *testing.T) {
	got := cleanEnv([]string{"A=1", "QUIETPATCH=x=on", "QUIETPATCH_BACKEND=none", "QUIETPATCHES=1"})
	if !slices.Equal(got, []string{"A=1", "QUIETPATCHES=1"}) {
		t.Errorf("%q", got)
	}
}

func sample() *Result {
	return &Result{
		SyncNS: 9400, Library: "v1.0.0", Notes: []string{"a note"},
		Flips: []prog.Flip{
			{Sites: 10, Keys: 1, Layout: "spread", Backend: "alias", Strategy: "store", FlipNS: 12_345, RatioToSync: 1.31, Syncs: 1, IPIs: 1, Quiet: true},
			{Sites: 10, Keys: 1, Layout: "spread", Backend: "alias", Strategy: "nowait", FlipNS: 300, IPIs: prog.NotMeasured},
		},
		Discovery: &prog.Discovery{TextBytes: 14_000_000, Keys: 9999, Sites: 99_990, NS: 80_000_000, BytesPerSite: 40},
		Checks:    []prog.Check{{Case: "key hot 1", OffNS: 0.25, OnNS: -0.01}},
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A bare sync: 9.4 us", " 12.3 ", " 1.31 ", " *\n", " - ", "99990 sites", "key hot 1", "0.25", "note: a note"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestJSON: the names that others read.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		SyncNS    *int64           `json:"sync_ns"`
		Flips     []map[string]any `json:"flips"`
		Discovery map[string]any   `json:"discovery"`
		Checks    []map[string]any `json:"checks"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.SyncNS == nil || *got.SyncNS != 9400 {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	has := func(what string, m map[string]any, names ...string) {
		for _, n := range names {
			if _, ok := m[n]; !ok {
				t.Errorf("%s has no %q: %v", what, n, m)
			}
		}
	}
	has("a flip", got.Flips[0], "sites", "backend", "strategy", "flip_ns", "ratio_to_sync", "syncs", "ipis", "ns_per_site")
	has("discovery", got.Discovery, "text_bytes", "sites", "ns", "bytes_per_site")
	has("a check", got.Checks[0], "case", "off_ns", "on_ns")
}
