package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const vetGood = `package x

import "github.com/quietpatch/quietpatch/staticcall"

var c = staticcall.New(func(int) {})

//go:noinline
func F(x int) { c.Func()(x) }
`

// vetModule makes a module with a stand-in for the library, and makes it the working
// directory.
func vetModule(t *testing.T, source string) (file string) {
	t.Helper()
	const repo = "github.com/quietpatch/quietpatch"
	stub, err := filepath.Abs(filepath.Join("internal", "forwardcheck", "testdata", "src", filepath.FromSlash(repo)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "q"), os.DirFS(stub)); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "x.go")
	for name, text := range map[string]string{
		filepath.Join("q", "go.mod"): "module " + repo + "\n\ngo 1.25\n",
		"go.mod":                     "module example.com/x\n\ngo 1.25\n\nrequire " + repo + " v0.0.0\n\nreplace " + repo + " => ./q\n",
		"x.go":                       source,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Chdir(dir)
	return file
}

func TestVet(t *testing.T) {
	inlined := strings.Replace(vetGood, "//go:noinline\n", "", 1)
	type result struct {
		Packages, Uses, Forwarders int
		Findings                   []struct {
			File, Message string
			Line, Column  int
		}
	}
	for _, c := range []struct {
		name, source, words string // words of the output, or of the error
		code                int
	}{
		{"clean", vetGood, "", exitOK},
		{"finding", inlined, "x.go:7:6: F may be inlined, and then no calls of it are left to patch: write //go:noinline", exitFailed},
		{"broken", vetGood + "}", "could not be loaded", exitUsage},
		{"no package", "", "could not be loaded", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := vetModule(t, c.source)
			out, errs, code := runCommand(t, "vet")
			if code != c.code || c.code == exitOK && out+errs != "" || !strings.Contains(out+errs, c.words) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, c.code, c.words, out, errs)
			}
			out, errs, code = runCommand(t, "vet", "--json", "./...")
			if c.code == exitUsage {
				if code != exitUsage || out != "" || !strings.HasPrefix(errs, "quietpatch: ") {
					t.Errorf("exit code %d, want %d and an error only\n%s%s", code, exitUsage, out, errs)
				}
				return
			}
			var r result
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != c.code || r.Packages != 1 || r.Uses != 1 {
				t.Fatalf("exit code %d, want %d; %v in\n%s%s", code, c.code, err, out, errs)
			}
			if n := map[int]int{exitOK: 0, exitFailed: 1}[c.code]; len(r.Findings) != n || r.Forwarders != 1-n {
				t.Fatalf("%+v", r)
			} else if n == 1 && (r.Findings[0].File != file || r.Findings[0].Line != 7 || r.Findings[0].Column != 6) {
				t.Errorf("%+v", r.Findings[0])
			}
		})
	}
}

// TestVettool runs the command as go vet does.
func TestVettool(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("QUIETPATCH_TEST_COMMAND", "1")
	for name, c := range map[string]struct {
		source, words string
		ok            bool
	}{
		"clean":   {vetGood, "", true},
		"finding": {strings.Replace(vetGood, "(x)", "(x + 1)", 1), "x.go:8:17: F hands over x + 1 where its parameter x belongs", false},
	} {
		t.Run(name, func(t *testing.T) {
			vetModule(t, c.source)
			out, err := exec.Command("go", "vet", "-vettool="+exe, "./...").CombinedOutput()
			if (err == nil) != c.ok || !strings.Contains(string(out), c.words) {
				t.Errorf("%v, want %q\n%s", err, c.words, out)
			}
		})
	}
}

func TestAsVettool(t *testing.T) {
	for _, c := range []struct {
		args string
		want bool
	}{
		{"", false},
		{"vet ./...", false},
		{"vet x.cfg", false},
		{"sites --json x", false},
		{"--help", false},
		{"-V=full", true},
		{"-flags", true},
		{"/tmp/vet.cfg", true},
		{"-json -quietpatch /tmp/vet.cfg", true},
	} {
		if got := asVettool(strings.Fields(c.args)); got != c.want {
			t.Errorf("%q: %v, want %v", c.args, got, c.want)
		}
	}
}
