package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildProg builds the end-to-end tests' program for linux/amd64, on any system.
func buildProg(t *testing.T, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "prog")
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), "github.com/quietpatch/quietpatch/internal/e2e/prog")...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	return out
}

type siteList struct {
	Stripped bool
	Keys     []struct {
		Name, Desc, Symbol, Addr string
		Sites                    []struct {
			Func, File, Addr, Form, Why string
			Line                        int
			Patchable                   bool
		}
	}
	Notes []string
}

func TestSites(t *testing.T) {
	for _, stripped := range []bool{false, true} {
		var flags []string
		if stripped {
			flags = []string{"-ldflags=-s -w"}
		}
		out, errs, code := runCommand(t, "sites", "--json", buildProg(t, flags...))
		if code != exitOK {
			t.Fatalf("exit code %d\n%s", code, errs)
		}
		var l siteList
		if err := json.Unmarshal([]byte(out), &l); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		want := 10
		if stripped {
			want = 9 // package isolate's own key has a symbol, and no registered name
		}
		if l.Stripped != stripped || len(l.Keys) != want {
			t.Fatalf("stripped %v, %d keys, expected %v, %d", l.Stripped, len(l.Keys), stripped, want)
		}
		for _, k := range l.Keys {
			if k.Name != "prog.hammer" {
				continue
			}
			if (k.Symbol == "main.hammerKey") == stripped || k.Desc == "" || len(k.Sites) < 30 {
				t.Errorf("key %s %q %q, %d sites", k.Name, k.Symbol, k.Desc, len(k.Sites))
			}
			for _, s := range k.Sites {
				if !s.Patchable || s.Why != "" || !strings.HasPrefix(s.Addr, "0x") || s.Line == 0 || !strings.HasPrefix(s.Func, "main.") ||
					strings.HasSuffix(s.File, "bool.go") || strings.HasSuffix(s.File, "flag_plain.go") {
					t.Errorf("site %+v", s)
				}
			}
		}
	}
}

func TestSitesText(t *testing.T) {
	out, _, code := runCommand(t, "sites", buildProg(t))
	for _, want := range []string{"prog.hammer  flipped while", "main.hammerKey at 0x", "cmp-byte", "movzx-byte", "patchable  main.ifOn", "checks.go:53", "prog.duration  a duration", "cmp-quad", "10 keys"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, expected %q in\n%s", code, want, out)
		}
	}
}

// TestSitesBadInput: what is no Go program gives an error that says so, and 2.
func TestSitesBadInput(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	whole, err := os.ReadFile(buildProg(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{write("text", []byte("#!/bin/sh\n")), "not an ELF file"},
		{write("empty", nil), "not an ELF file"},
		{write("truncated", whole[:len(whole)/3]), "truncated"},
		{filepath.Join(dir, "missing"), "missing"},
		{dir, "not a regular file"},
	} {
		out, errs, code := runCommand(t, "sites", c.path)
		if code != exitUsage || out != "" || !strings.Contains(strings.ToLower(errs), strings.ToLower(c.want)) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q, expected 2 and %q", c.path, code, out, errs, c.want)
		}
	}
}
