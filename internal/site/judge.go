package site

import (
	"path"
	"strings"
)

// forbidden returns why a function of this name may hold no site, or "".
// Between fork and exec the child runs these packages in the parent's memory
// with its signal handlers cleared (syscall.forkAndExecInChild): a trap there
// would kill it. The name is that of the function that runs, not of one that was
// inlined into it: what another package inlined is not run there.
func forbidden(name string) string {
	pkg := packageOf(name)
	switch {
	case pkg == "runtime", pkg == "syscall", pkg == "os",
		strings.HasPrefix(pkg, "runtime/"), strings.HasPrefix(pkg, "internal/"):
		return "package " + pkg + " runs between fork and exec"
	}
	return ""
}

// packageOf returns the import path in a symbol name such as
// "github.com/a/b.(*T).M" or "a/b.F[...]".
func packageOf(name string) string {
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i] // type arguments hold paths, too
	}
	slash := strings.LastIndexByte(name, '/') + 1
	if dot := strings.IndexByte(name[slash:], '.'); dot >= 0 {
		return name[:slash+dot]
	}
	return name
}

// ourPackage is where keys are read: the frames that users did not write.
const (
	ourPackage = "github.com/quietpatch/quietpatch/statickey"
	ourCalls   = "github.com/quietpatch/quietpatch/staticcall"
	ourLevels  = "github.com/quietpatch/quietpatch/slogkey"
	ourPoints  = "github.com/quietpatch/quietpatch/failpoint.(*Point)."
)

// OurFrame reports whether the function is the inlined body of a key's method.
// A site is named after the function that it was inlined into.
func OurFrame(fn string) bool {
	pkg := packageOf(fn)
	return pkg == ourPackage || pkg == ourCalls || pkg == ourLevels || strings.HasPrefix(fn, ourPoints)
}

// OurFile is OurFrame for source files, for those who know no function names.
func OurFile(file string) bool {
	dir, base := path.Split(file)
	for _, f := range ourFiles[path.Base(dir)] {
		if f == base {
			return true
		}
	}
	return false
}

var ourFiles = map[string][]string{
	"statickey":  {"bool.go", "counted.go", "sealed.go", "value.go", "cell_plain.go", "cell_atomic.go"},
	"failpoint":  {"point.go"},
	"slogkey":    {"logger.go", "levelvar.go"},
	"staticcall": {"load_plain.go", "load_atomic.go"},
}
