package sitelist

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/gobin"
	"github.com/quietpatch/quietpatch/internal/site"
)

// buildProg builds the end-to-end tests' program for linux/amd64, on any system.
func buildProg(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "prog")
	cmd := exec.Command("go", "build", "-o", out, "github.com/quietpatch/quietpatch/internal/e2e/prog")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prog")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHostileNames: names out of the file must neither end a line nor reach the
// terminal as commands, and JSON must stay JSON.
func TestHostileNames(t *testing.T) {
	b := buildProg(t)
	for _, c := range []struct{ old, new string }{
		{"main.ifOn\x00", "main.\x1b[2J\x00"}, {"flipped while", "flip\x1b[31m\n\n\t "}, {"checks.go\x00", "\xff\xfe\u009bks.go\x00"},
	} {
		if !bytes.Contains(b, []byte(c.old)) || len(c.old) != len(c.new) {
			t.Fatalf("the program does not hold %q, or %q has another length", c.old, c.new)
		}
		b = bytes.ReplaceAll(b, []byte(c.old), []byte(c.new))
	}
	l, err := Read(write(t, b))
	if err != nil {
		t.Fatal(err)
	}
	text, doc := output(t, l)
	for i, r := range text {
		if r != '\n' && (r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 || r == '\uFFFD') {
			t.Fatalf("character %q in %q", r, text[max(0, i-40):i+2])
		}
	}
	for _, want := range []string{`main.\x1b[2J `, `flip\x1b[31m\n\n\t `, `\xff\xfe\u009bks.go:`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if !strings.Contains(doc, `main.\u001b[2J`) {
		t.Errorf("the name is missing in\n%s", doc)
	}
}

// output writes the list in both ways and checks that the second is JSON.
func output(t *testing.T, l *List) (text, doc string) {
	t.Helper()
	var a, b bytes.Buffer
	if err := l.WriteText(&a, true); err != nil {
		t.Error(err)
	}
	if err := l.WriteJSON(&b); err != nil {
		t.Error(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Errorf("no JSON: %s", b.Bytes())
	}
	return a.String(), b.String()
}

// TestLimit: the list is refused when it gets too long, and only then.
func TestLimit(t *testing.T) {
	path := write(t, buildProg(t))
	l, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	_, doc := output(t, l)
	if _, err := read(path, len(doc)); err != nil {
		t.Errorf("a limit of the list's length: %v", err)
	}
	for _, limit := range []int{0, 100, len(doc) / 4} {
		if l, err := read(path, limit); err == nil || l != nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("limit %d, a list of %d bytes: %v", limit, len(doc), err)
		}
	}
}

// TestLimitStops: nothing is made for a list that is too long already.
func TestLimitStops(t *testing.T) {
	f, err := gobin.Open(write(t, buildProg(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const n, limit = 1000, 20 * siteBytes
	l := List{Keys: make([]Key, 1)}
	size := l.add(f, make([]site.Site, n), make([]uint64, n), limit)
	if got := len(l.Keys[0].Sites); size <= limit || got < 10 || got > 20 || len(l.Notes) != 0 {
		t.Errorf("size %d of %d with %d sites and %d notes", size, limit, got, len(l.Notes))
	}
	if size := l.add(f, nil, make([]uint64, n), limit); size <= limit || len(l.Notes) > 20 {
		t.Errorf("size %d of %d with %d notes", size, limit, len(l.Notes))
	}
}

// TestLongName: one long name does not make every line as long.
func TestLongName(t *testing.T) {
	l := List{Keys: []Key{{Name: "k", Sites: make([]Site, 1000)}}}
	l.Keys[0].Sites[7].Func = strings.Repeat("\u00e9", 50_000)
	text, _ := output(t, &l)
	if len(text) > 1_000_000 || !strings.Contains(text, "\u00e9...") {
		t.Errorf("%d bytes of text for 1000 sites and one name of 100000", len(text))
	}
}

// TestDamaged lists a program with random damage, cut off here and there: it is
// listed, or there is an error that names the file. internal/gobin has the real fuzz target.
func TestDamaged(t *testing.T) {
	whole := buildProg(t)
	rng := rand.New(rand.NewPCG(1, 2))
	listed, refused := 0, 0
	for range 60 {
		b := bytes.Clone(whole)
		for range 1 + rng.IntN(20) {
			b[rng.IntN(1<<(2+rng.IntN(19)))] = byte(rng.Uint32())
		}
		if rng.IntN(4) == 0 {
			b = b[:rng.IntN(len(b))]
		}
		path := write(t, b)
		l, err := Read(path)
		switch {
		case err == nil:
			listed++
			output(t, l)
		case l != nil || !strings.HasPrefix(err.Error(), path+": "):
			t.Errorf("%v, list %v; want an error that names the file", err, l)
		default:
			refused++
		}
	}
	if listed < 5 || refused < 5 {
		t.Errorf("%d listed, %d refused; the damage finds too little or too much", listed, refused)
	}
}
