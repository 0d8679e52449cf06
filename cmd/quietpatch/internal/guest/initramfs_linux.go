package guest

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
)

// folders that the guest mounts something on, or that programs expect.
var folders = []string{"bin", "dev", "proc", "sys", "tmp"}

// writeInitramfs writes the first file system: an archive of the kind "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func (g *Guest) writeInitramfs(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	a := &archive{w: bufio.NewWriter(f)}
	made := make(map[string]bool)
	folder := func(name string) {
		if name != "." && !made[name] {
			made[name] = true
			a.add(name, modeFolder, nil)
		}
	}
	for _, name := range folders {
		folder(name)
	}
	a.add("init", modeFile, []byte(g.script()))
	files := maps.Clone(g.Files)
	if files == nil {
		files = make(map[string]string)
	}
	files["bin/busybox"] = busybox
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		folder(path.Dir(name))
		a.add(name, modeFile, text)
	}
	a.add("TRAILER!!!", 0, nil)
	return a.end()
}

const (
	modeFolder = 0o040755
	modeFile   = 0o100755
)

type archive struct {
	w    *bufio.Writer
	n    int // written
	ino  int
	errs error
}

// add writes a header, a name and a text, the last two padded to 4 bytes from the beginning.
func (a *archive) add(name string, mode int, text []byte) {
	a.ino++
	links := 1
	a.printf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, links, 0, len(text), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.printf("%s", text)
	a.pad()
}

func (a *archive) printf(format string, args ...any) {
	n, err := fmt.Fprintf(a.w, format, args...)
	a.n += n
	if err != nil && a.errs == nil {
		a.errs = err
	}
}

func (a *archive) pad() {
	if over := a.n % 4; over > 0 {
		a.printf("%s", make([]byte, 4-over))
	}
}

func (a *archive) end() error {
	if a.errs != nil {
		return a.errs
	}
	return a.w.Flush()
}
