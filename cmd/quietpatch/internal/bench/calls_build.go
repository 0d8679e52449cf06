package bench

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// callFiles is the program that measures calls.
//
//go:embed callprog/*.go callprog/report/*.go
var callFiles embed.FS

const (
	callPackages = "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/"

	// A file with this first line belongs to the program, not to the command's module.
	ignoreLine   = "//go:build ignore\n"
	protobufFile = "callprog/protobuf.go"
	protobuf     = "google.golang.org/protobuf"
	// The version is fixed, so that the work is the same everywhere.
	protobufVersion = "v1.36.12"

	// retpolines makes the compiler call through runtime.retpolineAX and its like
	// (go tool compile -spectre). Assembly has few indirect calls, and those that it
	// has are not found as sites.
	retpolines = "-gcflags=all=-spectre=ret"

	downloadTime = 30 * time.Second
)

const callMain = `package main

import (
	"os"

	"` + programModule + `/callprog"
)

func main() { os.Exit(callprog.Main(os.Args[1:])) }
`

// layouts is how often each build is linked, with the functions in another order each
// time. A loop of calls takes four CPU cycles for each or five, depending on where it
// happens to lie, and code that is compared must not be lucky once for all (T. Mytkowicz
// et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009).
const layouts = 4

// A callProgram is built with and without retpolines, in all layouts.
type callProgram struct {
	*program
	plain, retpoline []string
	note             string // what is left out
}

// buildCalls writes and builds the program. The caller removes it.
func buildCalls(ctx context.Context, say func(string, ...any)) (*callProgram, error) {
	base, err := newProgram(ctx)
	if err != nil {
		return nil, err
	}
	p := &callProgram{program: base}
	err = p.write(ctx)
	if err == nil {
		say("building the program, plain")
		p.plain, err = p.link(ctx, "plain")
	}
	if err == nil {
		say("building it with retpolines, and the standard library if that was not done before")
		p.retpoline, err = p.link(ctx, "retpoline", retpolines)
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// link builds the program in all layouts, without debug information, which takes time.
func (p *callProgram) link(ctx context.Context, name string, flags ...string) (binaries []string, err error) {
	for i := range layouts {
		binary := filepath.Join(p.dir, fmt.Sprintf("%s%d", name, i+1))
		layout := fmt.Sprintf("-ldflags=-w -randlayout=%d", i+1)
		if err := p.compile(ctx, binary, append(flags, layout)...); err != nil {
			return nil, err
		}
		binaries = append(binaries, binary)
	}
	return binaries, nil
}

func (p *callProgram) write(ctx context.Context) error {
	if err := errors.Join(copyCalls(p.dir), writeFile(filepath.Join(p.dir, "main.go"), []byte(callMain)), p.from.writeGoMod(p.dir)); err != nil {
		return err
	}
	if err := p.addProtobuf(ctx); err != nil {
		p.note = fmt.Sprintf("the workload protobuf is left out: %v", err)
		return errors.Join(os.Remove(filepath.Join(p.dir, filepath.FromSlash(protobufFile))), p.from.writeGoMod(p.dir))
	}
	return nil
}

// addProtobuf requires the module of one workload. It may have to be downloaded.
func (p *callProgram) addProtobuf(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTime)
	defer cancel()
	out, err := p.goCommand(ctx, "get", protobuf+"@"+protobufVersion).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s could not be downloaded: %w: %s", protobuf, err, lastLine(string(out)))
	}
	return err
}

// copyCalls copies the files, without tests, so that they are packages of the
// program's module.
func copyCalls(dir string) error {
	return fs.WalkDir(callFiles, "callprog", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := callFiles.ReadFile(name)
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte(callPackages), []byte(programModule+"/"))
		text = bytes.TrimPrefix(text, []byte(ignoreLine))
		return writeFile(filepath.Join(dir, filepath.FromSlash(name)), text)
	})
}
