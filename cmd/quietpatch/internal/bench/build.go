package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A program is what was built, in a folder of its own.
type program struct {
	dir     string
	binary  string
	buildNS int64
	source  string // where the library comes from
	from    module
	tool    string
}

// build writes and builds the program. Without sites it has only the checks. The caller
// removes it.
func build(ctx context.Context, sites int) (*program, error) {
	p, err := newProgram(ctx)
	if err != nil {
		return nil, err
	}
	p.binary = filepath.Join(p.dir, "bench")
	plan, err := newPlan(sites)
	if err == nil {
		err = errors.Join(plan.writeProgram(p.dir), p.from.writeGoMod(p.dir))
	}
	if err == nil {
		err = p.compile(ctx, p.binary)
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// newProgram finds the toolchain and the library, and makes a folder for a program.
func newProgram(ctx context.Context) (*program, error) {
	tool, err := goTool()
	if err != nil {
		return nil, err
	}
	from, err := findModule(ctx, tool)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "quietpatch-bench-")
	if err != nil {
		return nil, err
	}
	p := &program{dir: dir, source: from.dir, from: from, tool: tool}
	if from.dir == "" {
		p.source = libraryModule + "@" + from.version
	}
	return p, nil
}

// writeGoMod also copies the checksums of a local copy, so that building needs no
// network.
func (m module) writeGoMod(dir string) error {
	if m.dir != "" {
		sums, err := os.ReadFile(filepath.Join(m.dir, "go.sum"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := writeFile(filepath.Join(dir, "go.sum"), sums); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(dir, "go.mod"), []byte(m.goMod()))
}

// compile runs go build in the program's folder, outside of any workspace and
// without the user's build flags: they could add race detection, or leave out
// inlining. -trimpath lets the go command find what an earlier run compiled, in
// another folder.
func (p *program) compile(ctx context.Context, binary string, flags ...string) error {
	start := time.Now()
	args := append([]string{"build", "-mod=mod", "-trimpath", "-o", binary}, flags...)
	cmd := p.goCommand(ctx, append(args, ".")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build of the benchmark's program: %w\n%s", err, firstLines(errs.String(), 20))
	}
	p.buildNS += time.Since(start).Nanoseconds()
	return nil
}

func (p *program) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.tool, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOOS=linux", "GOARCH=amd64")
	return cmd
}

func firstLines(text string, n int) string {
	lines := strings.SplitAfterN(text, "\n", n+1)
	if len(lines) > n {
		lines = append(lines[:n], "...")
	}
	return strings.TrimSpace(strings.Join(lines, ""))
}

func (p *program) remove() error { return os.RemoveAll(p.dir) }
