package forwardcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/go/packages"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/sitelist"
)

func TestForwarders(t *testing.T) {
	for _, r := range analysistest.Run(t, analysistest.TestData(), Analyzer, "forwarders") {
		if s, ok := r.Result.(*Summary); !ok || s.Forwarders != 14 || s.Uses < 40 {
			t.Errorf("summary %+v, want 14 forwarders", r.Result)
		}
	}
}

func TestCopies(t *testing.T) { analysistest.Run(t, analysistest.TestData(), Analyzer, "copies") }

// TestBinary: what the source check takes for a forwarder is one in the machine code, and
// what it takes for none is none.
func TestBinary(t *testing.T) {
	for _, flags := range [][]string{nil, {"-buildmode=pie"}, {"-gcflags=-spectre=ret"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			bin := filepath.Join(t.TempDir(), "forwarders")
			cmd := exec.Command("go", append(append([]string{"build", "-o", bin}, flags...), "testdata/src/forwarders/main.go")...)
			cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			l, err := sitelist.Read(bin)
			if err != nil {
				t.Fatal(err)
			}
			good := 0
			for _, c := range l.Calls {
				for _, f := range c.Forwarders {
					name := f.Func[strings.LastIndexByte(f.Func, '.')+1:]
					switch {
					case strings.HasPrefix(name, "good"):
						good++
					case strings.HasPrefix(name, "bad"):
						t.Errorf("%s is a forwarder", f.Func)
					}
				}
			}
			if good != 14 {
				var b bytes.Buffer
				_ = l.WriteText(&b, false)
				t.Errorf("%d of 14 good functions are forwarders\n%s", good, &b)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/x\n\ngo 1.25\n\nrequire "+repo+" v0.0.0\n\nreplace "+repo+" => ./q\n")
	stub := filepath.Join(dir, "q")
	if err := os.CopyFS(stub, os.DirFS(filepath.Join("testdata", "src", filepath.FromSlash(repo)))); err != nil {
		t.Fatal(err)
	}
	write("q/go.mod", "module "+repo+"\n\ngo 1.25\n")
	write("x.go", "package x\n\nimport \""+callPath+"\"\n\nvar c = staticcall.New(func(int) {})\n\nfunc F(x int) { c.Func()(x) }\n")
	write("x_test.go", "package x\n\nimport \"testing\"\n\nfunc TestF(*testing.T) { c.Func()(1) }\n")
	write("y_test.go", "package x_test\n\nimport (\n\t\"testing\"\n\n\t\"example.com/x\"\n)\n\nfunc TestF(*testing.T) { x.F(1) }\n")
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	r, err := Check(context.Background(), dir, []string{"./..."})
	if err != nil {
		t.Fatal(err)
	}
	if r.Packages != 2 || r.Uses != 2 || r.Forwarders != 0 || len(r.Findings) != 2 {
		t.Fatalf("%+v; want two findings in two packages, the tests among them", r)
	}
	for i, want := range []Finding{{filepath.Join(dir, "x.go"), 7, 6, "F may be inlined"}, {filepath.Join(dir, "x_test.go"), 5, 26, "TestF has"}} {
		got := r.Findings[i]
		message := got.Message
		got.Message = want.Message
		if got != want || !strings.Contains(message, want.Message) {
			t.Errorf("%+v (%s), want %+v", got, message, want)
		}
	}
	var text, doc bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "x.go:7:6: F may be inlined, and") {
		t.Errorf("%v\n%s", err, &text)
	}
	var again Result
	if err := r.WriteJSON(&doc); err != nil || json.Unmarshal(doc.Bytes(), &again) != nil || len(again.Findings) != 2 || again.Findings[0] != r.Findings[0] {
		t.Errorf("%v\n%s", err, &doc)
	}

	write("x.go", "package x\n\nvar c = undefined\n")
	for pattern, want := range map[string]string{"./...": "undefined", "./missing": "missing", "example.com/none": "none"} {
		if r, err := Check(context.Background(), dir, []string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want an error about %s", pattern, r, err, want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	var errs []packages.Error
	for range 20 {
		errs = append(errs, packages.Error{Msg: fmt.Sprint("undefined: x", len(errs))})
	}
	err := loadErrors([]*packages.Package{{Errors: errs}})
	if err == nil || strings.Count(err.Error(), "undefined") != 10 || !strings.Contains(err.Error(), "and 10 more") {
		t.Errorf("20 errors: %v", err)
	}
	if err := loadErrors(nil); err == nil {
		t.Error("no packages, and no error")
	}
}

func TestHint(t *testing.T) {
	for _, c := range []struct {
		theirs, ours string
		want         bool
	}{
		{"go1.27.3", "go1.26.8", true}, {"go1.26.9", "go1.26.8", false}, {"go1.25.1", "go1.26.8", false}, {"", "go1.26.8", false}, {"go1.27rc1", "go1.26", true},
	} {
		if got := hint(c.theirs, c.ours); (got != "") != c.want {
			t.Errorf("%s by %s: %q", c.theirs, c.ours, got)
		}
	}
}
