package site

import (
	"fmt"
	"path"
	"strings"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// lookAheadMax is how many instructions behind a compare are looked at for the
// one that reads its flags. Go puts it next, or behind a few moves and the
// NOPs that align a loop.
const lookAheadMax = 12

// flagsRead follows the instructions behind a compare up to the first that
// reads flags. TEST sets ZF, SF, CF and OF as the compare does, but not PF and
// AF. It returns why the compare must stay, or "".
func flagsRead(code []byte) string {
	for range lookAheadMax {
		in, err := insn.Decode(code)
		if err != nil {
			return fmt.Sprintf("behind the compare: %v", err)
		}
		switch in.Flags() {
		case insn.ReadsCond:
			return ""
		case insn.KeepsFlags:
			code = code[in.Len:]
		case insn.ReadsParity:
			return fmt.Sprintf("the parity flag of the compare is read (% x)", code[:in.Len])
		default:
			return fmt.Sprintf("not known what reads the flags of the compare (% x)", code[:in.Len])
		}
	}
	return fmt.Sprintf("no reader of the flags within %d instructions", lookAheadMax)
}

// forbidden returns why a function of this name may hold no site, or "".
// Between fork and exec the child runs these packages in the parent's memory
// with its signal handlers cleared (syscall.forkAndExecInChild): a trap there
// would kill it.
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
const ourPackage = "github.com/quietpatch/quietpatch/statickey"

// OurFrame reports whether the function is the inlined body of a key's method.
// A site is named after the function that it was inlined into.
func OurFrame(fn string) bool { return packageOf(fn) == ourPackage }

// OurFile is OurFrame for source files, for those who know no function names.
func OurFile(file string) bool {
	dir, base := path.Split(file)
	if !strings.HasSuffix(dir, "statickey/") {
		return false
	}
	return base == "bool.go" || base == "flag_plain.go" || base == "flag_atomic.go"
}
