package forwardcheck

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"
)

// Result is what Check found. Its JSON form is stable.
type Result struct {
	Packages   int       `json:"packages"`
	Uses       int       `json:"uses"`       // of functions of static calls
	Forwarders int       `json:"forwarders"` // that are right
	Findings   []Finding `json:"findings"`
}

// Finding is one place where the source is wrong.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"` // what is wrong: what to write
}

// Check checks the packages that the patterns name, as seen from dir, and their tests.
func Check(ctx context.Context, dir string, patterns []string) (*Result, error) {
	pkgs, err := load(ctx, dir, patterns)
	if err != nil {
		return nil, err
	}
	graph, err := checker.Analyze([]*analysis.Analyzer{Analyzer}, pkgs, nil)
	if err != nil {
		return nil, err
	}
	r := &Result{Findings: []Finding{}}
	tested := map[string]bool{} // packages that are there with their tests, too
	for _, p := range pkgs {
		tested[p.PkgPath] = tested[p.PkgPath] || p.ForTest == p.PkgPath
	}
	for _, a := range graph.Roots {
		if a.Err != nil {
			return nil, fmt.Errorf("%s: %w", a.Package.PkgPath, a.Err)
		}
		if strings.HasSuffix(a.Package.ID, ".test") || tested[a.Package.PkgPath] && a.Package.ForTest == "" {
			continue // generated, or counted with its tests
		}
		r.add(a)
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	r.Findings = slices.Compact(r.Findings)
	return r, nil
}

// load loads the packages, and what they import from the compiler's export data. That of
// a newer Go may have a format that this program does not know, but its source it can
// read; so what fails is tried once more with all source, which takes longer.
func load(ctx context.Context, dir string, patterns []string) ([]*packages.Package, error) {
	var err error
	for _, mode := range []packages.LoadMode{packages.LoadSyntax, packages.LoadAllSyntax} {
		var pkgs []*packages.Package
		cfg := &packages.Config{Mode: mode | packages.NeedForTest, Context: ctx, Dir: dir, Tests: true}
		if pkgs, err = packages.Load(cfg, patterns...); err == nil {
			err = loadErrors(pkgs)
		}
		if err == nil {
			return pkgs, nil
		}
	}
	return nil, fmt.Errorf("the packages could not be loaded, so nothing was checked%s:\n%w", hint(goVersion(ctx, dir), runtime.Version()), err)
}

func (r *Result) add(a *checker.Action) {
	r.Packages++
	if s, ok := a.Result.(*Summary); ok {
		r.Uses += s.Uses
		r.Forwarders += s.Forwarders
	}
	for _, d := range a.Diagnostics {
		p := a.Package.Fset.Position(d.Pos)
		r.Findings = append(r.Findings, Finding{p.Filename, p.Line, p.Column, d.Message})
	}
}

// loadErrors is all errors of the packages, a few lines of them.
func loadErrors(pkgs []*packages.Package) error {
	const most = 10
	if len(pkgs) == 0 {
		return errors.New("no packages: give import paths or ./... for all below the working directory")
	}
	var errs []error
	seen := map[string]bool{}
	packages.Visit(pkgs, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			if !seen[e.Error()] {
				seen[e.Error()] = true
				errs = append(errs, e)
			}
		}
	})
	if n := len(errs) - most; n > 0 {
		errs = append(errs[:most], fmt.Errorf("and %d more", n))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return nil
}

// hint says what a newer Go than the one that this program was built by needs: go/types
// does not understand its packages, and says so in many ways.
func hint(theirs, ours string) string {
	if version.Compare(version.Lang(theirs), version.Lang(ours)) <= 0 {
		return ""
	}
	return fmt.Sprintf(" (the go command is %s, and quietpatch was built by %s: build it by the newer one)", theirs, ours)
}

// goVersion is that of the go command, "" if it is not known.
func goVersion(ctx context.Context, dir string) string {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteText writes a line per finding, with names of files as seen from the working
// directory.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	wd, err := os.Getwd()
	for _, f := range r.Findings {
		name := f.File
		if err == nil {
			if rel, err := filepath.Rel(wd, name); err == nil && !strings.HasPrefix(rel, "..") {
				name = rel
			}
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s\n", name, f.Line, f.Column, f.Message)
	}
	_, err = io.WriteString(w, b.String())
	return err
}
