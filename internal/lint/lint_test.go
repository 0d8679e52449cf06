package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

const (
	module = "github.com/quietpatch/quietpatch"
	root   = "../.."
)

// mayImport is the import graph: a package may import only what stands here,
// besides the standard library. DO NOT CHANGE IT TO FIX A BUILD: it is the
// architecture (docs/ARCHITECTURE.md). x/sys/unix stays with the packages that
// make system calls.
var mayImport = map[string][]string{
	".":                   {"internal/engine"},
	"statickey":           {"internal/engine"},
	"failpoint":           {"statickey"},
	"failpoint/failhttp":  {"failpoint"},
	"slogkey":             {"statickey"},
	"staticcall":          {"internal/engine", "statickey"},
	"dyncall":             {"internal/engine", "internal/host", "internal/learn", "internal/stub"},
	"isolate":             {"internal/barrier", "internal/deferral", "internal/engine", "internal/host", "internal/reserve", "internal/tracking", "statickey", "golang.org/x/sys/unix"},
	"internal/deferral":   {"internal/barrier", "internal/tracking", "golang.org/x/sys/unix"},
	"internal/reserve":    {"internal/cpulist", "golang.org/x/sys/unix"},
	"internal/cpulist":    {},
	"internal/stub":       {},
	"internal/learn":      {},
	"internal/arena":      {"golang.org/x/sys/unix"},
	"internal/grace":      {},
	"internal/visit":      {"golang.org/x/sys/unix"},
	"internal/engine":     {"internal/deferral", "internal/tracking", "internal/arena", "internal/grace", "internal/visit", "internal/stub", "internal/protocol", "internal/site", "internal/insn/amd64", "internal/self", "internal/text", "internal/barrier", "internal/trap", "internal/host"},
	"internal/protocol":   {},
	"internal/site":       {"internal/insn/amd64"},
	"internal/insn/amd64": {},
	"internal/self":       {"internal/site", "golang.org/x/sys/unix"},
	"internal/gobin":      {"internal/insn/amd64", "internal/site"},
	"internal/text":       {"golang.org/x/sys/unix"},
	"internal/barrier":    {"golang.org/x/sys/unix"},
	"internal/trap":       {"golang.org/x/sys/unix"},
	"internal/host":       {"internal/cpulist", "golang.org/x/sys/unix"},
	"internal/e2e":        {},
	"internal/e2e/prog":   {".", "statickey", "staticcall", "dyncall", "isolate", "golang.org/x/sys/unix"},
	"internal/lint":       {},
	"internal/tracking":   {},
	"internal/sim":        {"internal/protocol", "internal/tracking"},
	// Runs code bytes for tests.
	"internal/insn/amd64/exectest": {"golang.org/x/sys/unix"},
}

// pure packages make no system call, start no goroutine and read no clock.
var pure = []string{"internal/protocol", "internal/site", "internal/insn/amd64", "internal/tracking", "internal/stub", "internal/cpulist"}

var impure = []string{"os", "syscall", "time", "sync", "sync/atomic", "unsafe", "net", "runtime"}

type goFile struct {
	dir, path string // relative to root
	test      bool
	ast       *ast.File
	lines     int
}

var fset = token.NewFileSet()

// files parses every Go file of the library module and the nested ones.
func files(t *testing.T) []goFile {
	t.Helper()
	var out []goFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		out = append(out, goFile{
			dir: filepath.ToSlash(filepath.Dir(rel)), path: rel, ast: f,
			test: strings.HasSuffix(path, "_test.go"), lines: fset.Position(f.End()).Line,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found %d Go files: the walk is wrong", len(out))
	}
	return out
}

func imports(f goFile) []string {
	var out []string
	for _, s := range f.ast.Imports {
		p, _ := strconv.Unquote(s.Path.Value)
		out = append(out, p)
	}
	return out
}

func TestImportDirection(t *testing.T) {
	for _, f := range files(t) {
		if f.test || strings.HasPrefix(f.dir, "cmd/") || strings.HasPrefix(f.dir, "bench/") || strings.HasPrefix(f.dir, "examples") {
			continue
		}
		allowed, known := mayImport[f.dir]
		if !known {
			t.Errorf("%s: package %s is not in the import graph; docs/ARCHITECTURE.md and mayImport must name it", f.path, f.dir)
			continue
		}
		for _, p := range imports(f) {
			if !strings.Contains(strings.SplitN(p, "/", 2)[0], ".") {
				continue // standard library
			}
			short := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			if p == module {
				short = "."
			}
			if !slices.Contains(allowed, short) {
				t.Errorf("%s imports %s, which %s may not; see docs/ARCHITECTURE.md", f.path, p, f.dir)
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, f := range files(t) {
		if f.test || !slices.Contains(pure, f.dir) {
			continue
		}
		for _, p := range imports(f) {
			if slices.Contains(impure, p) {
				t.Errorf("%s imports %s: package %s must stay pure, so that a simulation can run it", f.path, p, f.dir)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine", fset.Position(g.Pos()))
			}
			return true
		})
	}
}

func TestEveryPackageHasDoc(t *testing.T) {
	doc := map[string]bool{}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		doc[f.dir] = doc[f.dir] || f.ast.Doc != nil
	}
	for dir, ok := range doc {
		if !ok {
			t.Errorf("package %s has no doc comment: its job, its place in the flow, what it may not do", dir)
		}
	}
}

const (
	funcLinesMax = 80
	fileLinesMax = 400
)

// TestSizes: "mostly under 40 lines" is for reviewers; this is the hard end.
func TestSizes(t *testing.T) {
	for _, f := range files(t) {
		if f.test || strings.Contains(f.path, "tables") {
			continue // tables may be long
		}
		if f.lines > fileLinesMax {
			t.Errorf("%s has %d lines, %d are allowed: give its parts files of their own", f.path, f.lines, fileLinesMax)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line
			if n > funcLinesMax {
				t.Errorf("%s: %s has %d lines, %d are allowed", fset.Position(fn.Pos()), fn.Name.Name, n, funcLinesMax)
			}
		}
	}
}

// TestNoPanic: nothing of ours may end the host program.
func TestNoPanic(t *testing.T) {
	for _, f := range files(t) {
		if f.test || strings.HasPrefix(f.dir, "cmd/") || strings.HasPrefix(f.dir, "examples") || strings.HasPrefix(f.dir, "internal/e2e") || f.path == "failpoint/program.go" { // panic terms
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch x := call.Fun.(type) {
			case *ast.Ident:
				name = x.Name
			case *ast.SelectorExpr:
				if p, ok := x.X.(*ast.Ident); ok {
					name = p.Name + "." + x.Sel.Name
				}
			}
			if slices.Contains([]string{"panic", "os.Exit", "log.Fatal", "log.Fatalf", "log.Panic"}, name) {
				t.Errorf("%s calls %s: return an error and fall back to memory", fset.Position(call.Pos()), name)
			}
			return true
		})
	}
}

// TestDocsNameTheSteps keeps docs/PROTOCOL.md and the code in step.
func TestDocsNameTheSteps(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs", "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	for s := protocol.StepCheck; s <= protocol.StepStoreSync; s++ {
		number, name, _ := strings.Cut(s.String(), " ")
		found := false
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			found = found || len(f) >= 2 && f[0] == number && f[1] == name
		}
		if !found {
			t.Errorf("docs/PROTOCOL.md has no line for step %q", s)
		}
	}
}

// TestDocsNameThePackages: the map shows every package there is.
func TestDocsNameThePackages(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for dir := range mayImport {
		if dir != "." && !strings.Contains(string(b), "`"+dir+"`") {
			t.Errorf("docs/ARCHITECTURE.md does not name `%s`", dir)
		}
	}
}
