package guest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPanic: a kernel that panics is an error that shows its last words, and is not tried again.
func TestPanic(t *testing.T) {
	g := &Guest{Kernel: Need(t, "6.12"), Steps: []Step{{"first", "echo one; false"}, {"crash", "echo c >/proc/sysrq-trigger"}, {"last", "true"}}}
	out, err := g.Run(t.Context())
	if err == nil || errors.Is(err, errQEMU) || !strings.Contains(err.Error(), "panicked") || !strings.Contains(err.Error(), "sysrq triggered crash") {
		t.Errorf("expected the panic, found %v", err)
	}
	if first := out.Steps["first"]; out.Retried != "" || first.Code != 1 || strings.TrimSpace(first.Text) != "one" || len(out.Steps) != 1 {
		t.Errorf("tried again: %q; steps: %+v", out.Retried, out.Steps)
	}
}

// TestRetry: what QEMU itself fails at is tried once more, and told.
func TestRetry(t *testing.T) {
	Need(t, "6.12")
	broken := filepath.Join(t.TempDir(), "vmlinuz")
	if err := os.WriteFile(broken, []byte("no kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := (&Guest{Kernel: broken}).Run(t.Context())
	if !errors.Is(err, errQEMU) || out.Retried == "" {
		t.Errorf("found %v, tried again: %q", err, out.Retried)
	}
}

func TestParse(t *testing.T) {
	const text = "@@begin a\r\none\r\n\r\ntwo\r\n\r\n@@end 3 1.50 4.00\r\nnoise\r\n@@begin b\r\n\r\n@@end 0 4.00 4.25\r\n"
	steps := make(map[string]StepOutput)
	if parse([]byte(text), steps) {
		t.Error("complete without the last mark")
	}
	if want := (StepOutput{"one\n\ntwo\n\n", 3, 2500 * time.Millisecond}); steps["a"] != want {
		t.Errorf("found %+v, want %+v", steps["a"], want)
	}
	if want := (StepOutput{"\n", 0, 250 * time.Millisecond}); steps["b"] != want {
		t.Errorf("found %+v, want %+v", steps["b"], want)
	}
	if !parse([]byte(text+"@@done\r\n"), steps) {
		t.Error("not complete with the last mark")
	}
}

// TestMissing: without a kernel there is a reason that says what to do.
func TestMissing(t *testing.T) {
	t.Setenv("QUIETPATCH_GUEST_DIR", t.TempDir())
	_, err := find("6.12")
	if err == nil || !strings.Contains(err.Error(), "setup.sh") {
		t.Errorf("found %v", err)
	}
}

// TestInitramfs: headers and texts begin at multiples of 4, and all files are there.
func TestInitramfs(t *testing.T) {
	if _, err := os.Stat(busybox); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Guest{Files: map[string]string{"a/odd": odd}}
	if err := g.writeInitramfs(filepath.Join(dir, "initramfs")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "initramfs"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for at := 0; at+110 < len(text); {
		header := string(text[at : at+110])
		if at%4 != 0 || !strings.HasPrefix(header, "070701") {
			t.Fatalf("offset %d: found %q, expected a header", at, header)
		}
		size, name := hex(t, header[54:62]), hex(t, header[94:102])
		names = append(names, string(text[at+110:at+110+name-1]))
		at = (at + 110 + name + 3) &^ 3
		if names[len(names)-1] == "a/odd" && string(text[at:at+size]) != "12345" {
			t.Errorf("found %q", text[at:at+size])
		}
		at = (at + size + 3) &^ 3
	}
	if want := []string{"bin", "dev", "proc", "sys", "tmp", "init", "a", "a/odd", "bin/busybox", "TRAILER!!!"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
}

func hex(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}
