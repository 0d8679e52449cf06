package ipibpf

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// names turns what the kernel has as numbers into names, and remembers them: a process
// can be gone when it is asked for again.
type names struct {
	symbols  *kallsyms.Table
	read     int // how often the symbols were
	words    []string
	tells    map[string]bool
	remedies map[ipi.Key]string
	gos      map[process]bool
	cgroups  cgroups
}

type process struct {
	tgid uint32
	comm string
}

func newNames() names {
	return names{
		words:    tellingWords(),
		tells:    make(map[string]bool),
		remedies: make(map[ipi.Key]string),
		gos:      make(map[process]bool),
		cgroups:  cgroups{paths: make(map[uint64]string)},
	}
}

// rereads bounds how often the symbols are read again for a function that is not there,
// as one of a module that was loaded later.
const rereads = 4

// function names the function at an address.
func (n *names) function(addr uint64) string {
	name, ok := n.symbols.At(addr)
	for !ok && n.read < rereads {
		n.load()
		name, ok = n.symbols.At(addr)
	}
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	return name
}

// returnsTo names the function that a return address is in.
func (n *names) returnsTo(addr uint64) string {
	if n.symbols == nil && n.read < rereads {
		n.load()
	}
	name, ok := n.symbols.Around(addr - 1)
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	return name
}

// address returns where a function begins, 0 if that is not known.
func (n *names) address(function string) uint64 {
	if n.symbols == nil && n.read < rereads {
		n.load()
	}
	if found := n.symbols.Named(function); found != nil {
		return found[0]
	}
	return 0
}

func (n *names) load() {
	n.read++
	if s, err := kallsyms.Read(); err == nil {
		n.symbols = s
	} else {
		n.read = rereads
	}
}

// cause names the function that the victim runs, and from that the kind: what the row TLB
// of /proc/interrupts counts is a call of flush_tlb_func (arch/x86/mm/tlb.c).
func (n *names) cause(kind uint32, function uint64) (ipi.Kind, string) {
	name := ""
	if function != 0 {
		name = n.function(function)
	}
	switch {
	case kind == kindResched:
		return ipi.Resched, name
	case kind == kindIRQWork:
		return ipi.IRQWork, name
	case kind != kindCall:
		return ipi.Other, name
	case name == "flush_tlb_func":
		return ipi.TLB, name
	}
	return ipi.Call, name
}

// telling reports whether a remedy looks for a function.
func (n *names) telling(function string) bool {
	is, ok := n.tells[function]
	if ok {
		return is
	}
	for _, w := range n.words {
		is = is || ipifilter.GlobMatch(w, function)
	}
	n.tells[function] = is
	return is
}

func (n *names) remedy(k ipi.Key) string {
	k.StackID = -1
	k.CPU = 0
	name, ok := n.remedies[k]
	if !ok {
		e, _ := remedy.Lookup(k)
		name = e.Name
		n.remedies[k] = name
	}
	return name
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
	f, err := elf.Open(dir + "exe")
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".go.buildinfo") != nil
}

func (n *names) cgroup(id uint64) string { return n.cgroups.path(id) }
