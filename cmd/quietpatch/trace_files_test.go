package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTraceKeepsRecord: a start that fails leaves the record of an earlier run as it was.
func TestTraceKeepsRecord(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "night.qpt")
	if err := os.WriteFile(file, []byte("a night"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--for", "1s", "--", "true"},
		{"--", "/nonexistent/program"},
		{"--serve", taken.Addr().String()},
		{"--html", file},
		{"--for", "1s", "--filter", "cpu & CPUS{0} && cpu != 0"}, // where nothing can be watched, that is told
	} {
		_, errs, code := runCommand(t, append([]string{"trace", "--record", file}, args...)...)
		if b, err := os.ReadFile(file); err != nil || code != exitUsage || string(b) != "a night" {
			t.Errorf("%q: exit code %d, %v, found %q\n%s", args, code, err, b, errs)
		}
	}
}

// TestRecordFile: what was in the file goes with the first write, and not with the second.
func TestRecordFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("of an earlier run"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &recordFile{File: file}
	for _, want := range []string{"a", "aa"} {
		if _, err := f.Write([]byte("a")); err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("found %q, %v, want %q", b, err, want)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := (&recordFile{File: w}).Write([]byte("a")); err != nil {
		t.Errorf("a pipe: %v", err)
	}
}

// TestDistinct: files that would overwrite each other are refused, however they are named.
func TestDistinct(t *testing.T) {
	dir := t.TempDir()
	there, link, hard, sub := filepath.Join(dir, "there"), filepath.Join(dir, "link"), filepath.Join(dir, "hard"), filepath.Join(dir, "sub")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Symlink(there, link), os.Link(there, hard), os.Symlink(dir, sub)} {
		if err != nil {
			t.Skip(err)
		}
	}
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{there, there, true},
		{there, link, true},
		{hard, link, true},
		{there, dir + "/../" + filepath.Base(dir) + "//./there", true},
		{filepath.Join(dir, "new"), dir + "//./new", true},
		{filepath.Join(dir, "new"), filepath.Join(sub, "new"), true},
		{filepath.Join(dir, "new"), filepath.Join(dir, "other"), false},
		{there, filepath.Join(dir, "new"), false},
		{"", "", false},
		{there, "", false},
		{os.DevNull, os.DevNull, false},
		{filepath.Join(dir, "no", "new"), filepath.Join(dir, "no", "new"), true},
	} {
		err := distinct(fileFlag{"--record", tc.a}, fileFlag{"--html", ""}, fileFlag{"--folded", tc.b})
		if (err != nil) != tc.same || err != nil && !strings.Contains(err.Error(), "--folded: expected another file than that of --record") {
			t.Errorf("%q and %q: %v, want same %v", tc.a, tc.b, err, tc.same)
		}
	}
	for _, args := range [][]string{
		{"--html", there, "--folded", link},
		{"--record", "x", "--folded", "./x"},
		{"report", there, "--html", there},
		{"report", there, "--html", filepath.Join(dir, "new"), "--folded", filepath.Join(dir, "new")},
	} {
		if _, errs, code := runCommand(t, append([]string{"trace"}, args...)...); code != exitUsage || !strings.Contains(errs, "expected another file") {
			t.Errorf("%q: exit code %d\n%s", args, code, errs)
		}
	}
}
