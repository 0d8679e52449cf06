package bench

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// progFiles is the part of the program that is not generated.
//
//go:embed prog/*.go prog/*.s
var progFiles embed.FS

// programModule is the generated program's module.
const programModule = "quietpatchbench"

// writeProgram writes the program below dir, without its go.mod.
func (p *plan) writeProgram(dir string) error {
	if err := copyProg(dir); err != nil {
		return err
	}
	files := map[string][]byte{"main.go": p.mainFile(), "keys/keys.go": p.keysFile()}
	for i := range p.inPkg {
		files[fmt.Sprintf("p%02d/funcs.go", i)] = p.funcsFile(i)
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), text); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// copyProg copies package prog, without its tests.
func copyProg(dir string) error {
	entries, err := fs.ReadDir(progFiles, "prog")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := progFiles.ReadFile(path.Join("prog", e.Name()))
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, "prog", e.Name()), text); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) mainFile() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package main\n\nimport (\n\t\"os\"\n\t\"%s/keys\"\n\t\"%s/prog\"\n", programModule, programModule)
	for i := range p.inPkg {
		fmt.Fprintf(&b, "\t\"%s/p%02d\"\n", programModule, i)
	}
	b.WriteString(")\n\nfunc main() {\n\tp := prog.Program{Keys: keys.All, Groups: groups}\n")
	for i := range p.inPkg {
		fmt.Fprintf(&b, "\tp.Funcs = append(p.Funcs, p%02d.Funcs...)\n", i)
	}
	b.WriteString("\tos.Exit(prog.Main(p, os.Args[1:]))\n}\n\nvar groups = []prog.Group{\n")
	for _, g := range p.groups {
		fmt.Fprintf(&b, "\t{Layout: %q, From: %d, To: %d, Sites: %d, Busy: %#v},\n", g.layout, g.from, g.to, g.sites, g.busy)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func (p *plan) keysFile() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package keys\n\nimport (\n\t\"%s/statickey\"\n\t\"%s/prog\"\n)\n\nvar (\n", libraryModule, programModule)
	for i := range p.sizes {
		fmt.Fprintf(&b, "\tK%d statickey.Bool\n", i)
	}
	b.WriteString("\tnone statickey.Bool\n)\n\n// All is what prog sets.\nvar All = []prog.Key{\n")
	for i, n := range p.sizes {
		fmt.Fprintf(&b, "\t{Key: &K%d, Sites: %d},\n", i, n)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// funcsFile is one package. Its functions do some work, check a key, do other
// work, and so on.
func (p *plan) funcsFile(pkg int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package p%02d\n\nimport (\n\t\"%s/keys\"\n\t\"%s/prog\"\n)\n", pkg, programModule, programModule)
	rng := rand.New(rand.NewPCG(uint64(pkg), 3))
	from, to := p.inPkg[pkg][0], p.inPkg[pkg][1]
	for f := from; f < to; f++ {
		fmt.Fprintf(&b, "\n//go:noinline\nfunc f%d(w *prog.Work, x uint64) uint64 {\n", f)
		for _, s := range p.funcs[f] {
			b.WriteString(work(rng))
			if pkg >= densePackages && rng.IntN(2) == 0 {
				b.WriteString(work(rng))
			}
			if s.value {
				fmt.Fprintf(&b, "\tw.Seen[%d] += prog.Number(keys.K%d.Enabled())\n", s.key, s.key)
			} else {
				fmt.Fprintf(&b, "\tif keys.K%d.Enabled() {\n\t\tw.Seen[%d]++\n\t}\n", s.key, s.key)
			}
		}
		b.WriteString("\treturn x\n}\n")
	}
	b.WriteString("\n// Funcs are the functions above.\nvar Funcs = []prog.Func{\n")
	for f := from; f < to; f++ {
		fmt.Fprintf(&b, "\tf%d,\n", f)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// work is some lines of code without keys: branches, loops, loads and stores,
// bounds checks, calls.
func work(rng *rand.Rand) string {
	a, b, c := rng.IntN(15)+1, rng.IntN(200), rng.Uint32()
	switch rng.IntN(5) {
	case 0:
		return fmt.Sprintf("\tx ^= x << %d\n\tx ^= x >> %d\n\tw.Table[x&255] += x * %d\n", a, a+3, c)
	case 1:
		return fmt.Sprintf("\tfor i, t := range w.Table[%d:%d] {\n\t\tx += t*%d + uint64(i)\n\t}\n", b, b+4, c)
	case 2:
		return fmt.Sprintf("\tif x&%d == 0 {\n\t\tw.Text = append(w.Text[:0], \"%08x\"...)\n\t\tx += uint64(len(w.Text))\n\t}\n", 1<<a, c)
	case 3:
		return fmt.Sprintf("\tswitch x & 3 {\n\tcase 0:\n\t\tx += w.Table[%d]\n\tcase 1:\n\t\tw.Table[%d] = x\n\tcase 2:\n\t\tx ^= %d\n\t}\n", b, b+1, c)
	}
	return fmt.Sprintf("\tx = w.Mix(x, %d)\n\tif len(w.Text) > %d {\n\t\tx ^= uint64(w.Text[%d])\n\t}\n", c, a, a)
}
