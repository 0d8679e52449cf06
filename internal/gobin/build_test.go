package gobin

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// config is one way to build the test program.
type config struct {
	name      string
	toolchain string // "" is the one that runs the test
	pkg       string
	args      []string
	goamd64   string // "" is v1
	strip     bool   // with strip(1) after the build

	pie, noSymbols, noDWARF bool // what is expected
}

func (c config) String() string {
	if c.toolchain == "" {
		return c.name
	}
	return c.toolchain + "/" + c.name
}

func (c config) cgo() bool { return c.pkg == "./cgo" }

func (c config) level() string { return cmp.Or(c.goamd64, "v1") }

// slow builds compile the standard library anew.
func (c config) slow() bool {
	return c.name == "no-optimization" || c.name == "race-internal" || c.name == "amd64-v3" || strings.HasPrefix(c.name, "spectre") || c.toolchain != ""
}

var (
	internalLink = []string{"-ldflags=-linkmode=internal"}
	externalLink = []string{"-ldflags=-linkmode=external"}
	externalPIE  = []string{"-ldflags=-linkmode=external", "-buildmode=pie"}
)

var baseConfigs = []config{
	{name: "default", pkg: "./plain"},
	{name: "ldflags-s-w", pkg: "./plain", args: []string{"-ldflags=-s -w"}, noSymbols: true, noDWARF: true},
	{name: "ldflags-w", pkg: "./plain", args: []string{"-ldflags=-w"}, noDWARF: true},
	{name: "strip", pkg: "./plain", strip: true, noSymbols: true, noDWARF: true},
	{name: "plain-dwarf", pkg: "./plain", args: []string{"-ldflags=-compressdwarf=false"}},
	{name: "pie", pkg: "./plain", args: []string{"-buildmode=pie"}, pie: true},
	{name: "pie-ldflags-s-w", pkg: "./plain", args: []string{"-buildmode=pie", "-ldflags=-s -w"}, pie: true, noSymbols: true, noDWARF: true},
	{name: "pie-strip", pkg: "./plain", args: []string{"-buildmode=pie"}, strip: true, pie: true, noSymbols: true, noDWARF: true},
	{name: "trimpath", pkg: "./plain", args: []string{"-trimpath"}},
	{name: "cgo-internal", pkg: "./cgo", args: internalLink},
	{name: "cgo-internal-strip", pkg: "./cgo", args: internalLink, strip: true, noSymbols: true, noDWARF: true},
	{name: "race-internal", pkg: "./cgo", args: append([]string{"-race"}, internalLink...)},
	{name: "external", pkg: "./cgo", args: externalLink},
	{name: "external-strip", pkg: "./cgo", args: externalLink, strip: true, noSymbols: true, noDWARF: true},
	{name: "external-pie", pkg: "./cgo", args: externalPIE, pie: true},
	{name: "external-pie-strip", pkg: "./cgo", args: externalPIE, strip: true, pie: true, noSymbols: true, noDWARF: true},
	{name: "amd64-v3", pkg: "./plain", goamd64: "v3"},
	{name: "spectre", pkg: "./plain", args: []string{"-gcflags=all=-spectre=all"}},
	{name: "spectre-ret-pie-strip", pkg: "./plain", args: []string{"-gcflags=all=-spectre=ret", "-buildmode=pie"}, strip: true, pie: true, noSymbols: true, noDWARF: true},
	{name: "no-optimization", pkg: "./plain", args: []string{"-gcflags=all=-N -l"}},
}

// configs is the build matrix, with the oldest and the newest toolchain too when
// QUIETPATCH_MATRIX=1.
func configs() []config {
	all := append([]config(nil), baseConfigs...)
	if os.Getenv("QUIETPATCH_MATRIX") == "1" {
		for _, tc := range []string{"go1.25.14", "go1.27.3"} {
			for _, c := range baseConfigs {
				c.toolchain = tc
				all = append(all, c)
			}
		}
	}
	return all
}

// skipOrFail skips a test that lacks a tool; where the project relies on its
// result, in CI on linux/amd64, it fails instead.
func skipOrFail(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		skipOrFail(t, "%s is not installed: %v", name, err)
	}
}

var (
	buildDir  string
	buildLock sync.Mutex
	built     = map[string]string{}
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gobin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build returns the path of the test program, built once for all tests.
func build(t *testing.T, c config) string {
	t.Helper()
	needTool(t, "go")
	if c.cgo() {
		needTool(t, "gcc")
		if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
			t.Skip("cgo programs are built on linux/amd64 only")
		}
	}
	buildLock.Lock()
	defer buildLock.Unlock()
	if path := built[c.String()]; path != "" {
		return path
	}
	path := filepath.Join(buildDir, strings.ReplaceAll(c.String(), "/", "-"))
	args := append([]string{"build", "-o", path}, c.args...)
	cmd := exec.Command("go", append(args, c.pkg)...)
	cmd.Dir = filepath.Join("testdata", "prog")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false", "GOOS=linux", "GOARCH=amd64",
		"GOAMD64="+c.level(), "CGO_ENABLED=0")
	if c.cgo() {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if c.toolchain != "" {
		cmd.Env = append(cmd.Env, "GOTOOLCHAIN="+c.toolchain)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	if c.strip {
		needTool(t, "strip")
		if out, err := exec.Command("strip", path).CombinedOutput(); err != nil {
			t.Fatalf("strip: %v\n%s", err, out)
		}
	}
	built[c.String()] = path
	return path
}

func openProg(t *testing.T, c config) *File {
	t.Helper()
	f, err := Open(build(t, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// place is what the running program says of one of its addresses.
type place struct {
	addr uint64
	name string
	file string
	line int
}

// truth is the output of the test program, by "kind label".
type truth map[string]place

// run runs a built program. Its addresses include the load bias.
func run(t *testing.T, path string) truth {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the test program runs on linux/amd64 only")
	}
	out, err := exec.Command(path).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
	tr := truth{}
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		w := strings.Fields(l)
		if len(w) < 3 {
			t.Fatalf("%s printed %q", path, l)
		}
		var p place
		if p.addr, err = strconv.ParseUint(w[2], 0, 64); err != nil {
			t.Fatalf("%s printed %q: %v", path, l, err)
		}
		if len(w) > 4 {
			colon := strings.LastIndexByte(w[4], ':')
			p.name, p.file = w[3], w[4][:colon]
			p.line, _ = strconv.Atoi(w[4][colon+1:])
		}
		tr[w[0]+" "+w[1]] = p
	}
	return tr
}
