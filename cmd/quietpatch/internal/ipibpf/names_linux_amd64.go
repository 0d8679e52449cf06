package ipibpf

import (
	"fmt"
	"os"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// names turns what the kernel has as numbers into names, and remembers them: a process
// can be gone when it is asked for again.
type names struct {
	*ipinames.Names
	gos     map[process]bool
	cgroups cgroups
}

type process struct {
	tgid uint32
	comm string
}

// newNames names by the table that read returns; nil: by that of the kernel.
func newNames(read func() (*kallsyms.Table, error)) names {
	if read == nil {
		read = kallsyms.Read
	}
	return names{ipinames.From(read), make(map[process]bool), cgroups{paths: make(map[uint64]string)}}
}

// cause names the function that the victim runs, and from that the kind.
func (n *names) cause(kind uint32, function uint64) (ipi.Kind, string) {
	name := n.Function(function)
	switch kind {
	case kindResched:
		return ipi.Resched, name
	case kindIRQWork:
		return ipi.IRQWork, name
	case kindCall:
		return ipinames.CallKind(name), name
	}
	return ipi.Other, name
}

// isGo reports whether a process runs a program that Go has built. The name guards against
// a number that means another process here, or a later one.
func (n *names) isGo(tgid uint32, comm string) bool {
	p := process{tgid, comm}
	is, ok := n.gos[p]
	if !ok && tgid != 0 {
		is = goProgram(p)
		n.gos[p] = is
	}
	return is
}

func goProgram(p process) bool {
	dir := fmt.Sprintf("/proc/%d/", p.tgid)
	comm, err := os.ReadFile(dir + "comm")
	if err != nil || strings.TrimSuffix(string(comm), "\n") != p.comm {
		return false
	}
	return ipinames.IsGo(dir + "exe")
}

func (n *names) cgroup(id uint64) string { return n.cgroups.path(id) }
