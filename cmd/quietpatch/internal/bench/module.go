package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// libraryModule is the module that is measured.
const libraryModule = "github.com/quietpatch/quietpatch"

// A module is where the generated program takes the library from.
type module struct {
	dir     string // a local copy, "" if there is none
	version string // else a version for the go command to download
}

// goTool returns the go command in PATH.
func goTool() (string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("the benchmark builds a Go program: expected a Go toolchain in PATH, found none: %w (see https://go.dev/dl)", err)
	}
	return path, nil
}

// findModule prefers the copy that the current folder belongs to, and takes the
// version that this command was built from otherwise.
func findModule(ctx context.Context, tool string) (module, error) {
	if dir := localModule(ctx, tool); dir != "" {
		return module{dir: dir}, nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return module{}, errors.New("this command does not say which version it was built from; run it inside of the repository")
	}
	return moduleOf(info)
}

// localModule returns the folder of the library's module, if the go command knows
// one here: as the main module, in a workspace, or by a replace line.
func localModule(ctx context.Context, tool string) string {
	cmd := exec.CommandContext(ctx, tool, "list", "-m", "-f", "{{if or .Main .Replace}}{{.Dir}}{{end}}", libraryModule)
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	dir := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); dir == "" || err != nil {
		return ""
	}
	return dir
}

// moduleOf finds the library among what the command was built from.
func moduleOf(info *debug.BuildInfo) (module, error) {
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path != libraryModule {
			continue
		}
		if m.Replace != nil && m.Replace.Version == "" {
			if _, err := os.Stat(filepath.Join(m.Replace.Path, "go.mod")); err == nil && filepath.IsAbs(m.Replace.Path) {
				return module{dir: m.Replace.Path}, nil
			}
			break
		}
		if m.Version != "" && m.Version != "(devel)" && m.Version != "v0.0.0" {
			return module{version: m.Version}, nil
		}
	}
	return module{}, fmt.Errorf("the version of %s that this command was built from cannot be downloaded;"+
		" run the command inside of a copy of the repository, or install it with go install ...@latest", libraryModule)
}

// goMod is the go.mod of the generated program.
func (m module) goMod() string {
	version := m.version
	if m.dir != "" {
		version = "v0.0.0"
	}
	text := fmt.Sprintf("module %s\n\ngo 1.25.0\n\nrequire %s %s\n", programModule, libraryModule, version)
	if m.dir != "" {
		text += fmt.Sprintf("\nreplace %s => %q\n", libraryModule, m.dir)
	}
	return text
}
