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
)

// Check looks which means exist here. It changes nothing and starts no event.
func Check() []ipitrace.Finding {
	spec, err := btf.LoadKernelSpec()
	found := []ipitrace.Finding{{
		Name: "BTF", OK: err == nil, Needed: true, Why: why(err),
		Lost: "everything: the programs do not know where the kernel keeps its fields",
	}, checkLoad()}
	for _, e := range events {
		found = append(found, checkEvent(spec, e))
	}
	return append(found, checkSymbols(), checkCgroups(), checkJIT())
}

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
		Type: ebpf.RawTracepoint, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: "Dual MIT/GPL",
	})
	if err == nil {
		err = p.Close()
	}
	f.OK, f.Why = err == nil, why(err)
	return f
}

// checkEvent looks for the type that the kernel has for each of its tracepoints
// (include/trace/bpf_probe.h).
func checkEvent(spec *btf.Spec, e event) ipitrace.Finding {
	f := ipitrace.Finding{Name: "event " + e.tracepoint, Needed: e.use == needed, Lost: lostWithout[e.program]}
	if spec == nil {
		f.Why = "not known without BTF"
		return f
	}
	var t *btf.Typedef
	err := spec.TypeByName("btf_trace_"+e.tracepoint, &t)
	f.OK = err == nil
	if errors.Is(err, btf.ErrNotFound) {
		f.Why = "this kernel does not have it"
	} else {
		f.Why = why(err)
	}
	return f
}

const (
	noWork    = "who queued the work for which a kworker sends: the kworker is blamed"
	noSoftirq = "IPIs from softirqs are blamed on the thread that was interrupted"
	noTimer   = "IPIs from timers are blamed on the thread that was interrupted"
	noIRQ     = "IPIs from device interrupts are blamed on the thread that was interrupted"
	noCost    = "what the interrupts cost"
)

// lostWithout says by program what is lost without its event.
var lostWithout = map[string]string{
	"send_one":       "IPIs to one CPU",
	"send_many":      "IPIs to several CPUs",
	"queue":          "the causes of function calls (Linux has the event since 6.5)",
	"work_queued":    noWork,
	"work_starts":    noWork,
	"softirq_entry":  noSoftirq,
	"softirq_exit":   noSoftirq,
	"timer_entry":    noTimer,
	"timer_exit":     noTimer,
	"irq_entry":      noIRQ,
	"irq_exit":       noIRQ,
	"call_runs":      "which cause a cost belongs to",
	"single_entry":   noCost,
	"single_exit":    noCost,
	"many_entry":     noCost,
	"many_exit":      noCost,
	"resched_entry":  noCost,
	"resched_exit":   noCost,
	"irq_work_entry": "interrupts for irq_work",
	"irq_work_exit":  noCost,
}

func checkSymbols() ipitrace.Finding {
	s, err := readSymbols()
	f := ipitrace.Finding{Name: kallsymsFile, OK: err == nil, Lost: "names of functions, and the kind tlb"}
	if err != nil {
		f.Why = err.Error()
	} else {
		f.Why = fmt.Sprintf("%d functions", s.Len())
	}
	return f
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
