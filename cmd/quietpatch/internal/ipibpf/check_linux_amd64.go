package ipibpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// Check looks which means exist here. It changes nothing and starts no event.
func Check() []ipitrace.Finding {
	spec, err := btf.LoadKernelSpec()
	found := []ipitrace.Finding{{
		Name: "BTF", OK: err == nil, Needed: true, Why: why(err),
		Lost: "everything: the programs do not know where the kernel keeps its fields",
	}, checkLoad()}
	symbols, hidden := kallsyms.Read()
	for _, e := range events {
		found = append(found, checkEvent(spec, e, symbols))
	}
	return append(found, ipitrace.FoundSymbols(symbols, hidden), checkCgroups(), checkJIT())
}

// license is that of the object.
const license = "Dual MIT/GPL"

func why(err error) string {
	if err == nil {
		return ""
	}
	return explain(err).Error()
}

// checkLoad loads the smallest of the programs.
func checkLoad() ipitrace.Finding {
	f := ipitrace.Finding{Name: "eBPF programs", Needed: true, Lost: "everything"}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: license,
	})
	if err == nil {
		err = p.Close()
	}
	f.OK, f.Why = err == nil, why(err)
	return f
}

// checkEvent looks for an event's raw tracepoint, and for the functions that can stand in for it.
func checkEvent(spec *btf.Spec, e event, s *kallsyms.Table) ipitrace.Finding {
	f := ipitrace.Finding{Name: "event " + e.tracepoint, Needed: e.use <= queues, Lost: e.lost}
	if spec == nil {
		f.Why = "not known without BTF"
		return f
	}
	f.OK = hasTracepoint(spec, e.tracepoint)
	f.Why = "no raw tracepoint"
	if f.OK {
		f.Why = "raw tracepoint"
	}
	if len(e.probes) == 0 {
		return f
	}
	instead := checkProbes(e.probes, s)
	switch {
	case instead == nil:
		f.OK = true
		f.Why += ", kprobes"
	default:
		f.Why += ", no kprobes: " + instead.Error()
	}
	return f
}

// checkProbes looks whether the kernel has kprobes and the functions.
func checkProbes(probes []probe, s *kallsyms.Table) error {
	const source = "/sys/bus/event_source/devices/kprobe" // perf_event_open(2), dynamic PMU
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("%w (CONFIG_KPROBE_EVENTS)", err)
	}
	if s == nil {
		return nil // the names are known to the kernel all the same
	}
	for _, p := range probes {
		if p.needed && s.Named(p.function) == nil {
			return fmt.Errorf("there is no function %s", p.function)
		}
	}
	return nil
}

func checkCgroups() ipitrace.Finding {
	f := ipitrace.Finding{Name: "cgroup version 2", Lost: "the cgroups of senders"}
	switch mount := cgroupMount(); {
	case mount == "":
		f.Why = "not mounted"
	default:
		c := cgroups{paths: make(map[uint64]string)}
		f.Why = mount
		if f.OK = c.path(rootCgroup) != ""; !f.OK {
			f.Why += ": cannot be opened by number (CAP_DAC_READ_SEARCH)"
		}
	}
	return f
}

// rootCgroup is the number of the first cgroup (fs/kernfs/dir.c, kernfs_create_root).
const rootCgroup = 1

func checkJIT() ipitrace.Finding {
	f := ipitrace.Finding{Name: "JIT compiler for eBPF", Lost: "nothing; each event takes several times as long"}
	const file = "/proc/sys/net/core/bpf_jit_enable"
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.OK, f.Why = true, "not known: there is no "+file
	case err != nil:
		f.Why = err.Error()
	default:
		f.OK = strings.TrimSpace(string(b)) != "0"
		f.Why = "net.core.bpf_jit_enable is " + strings.TrimSpace(string(b))
	}
	return f
}
