package ipibpf

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

//go:embed ipi_amd64.o
var object []byte

// Tracer counts IPIs from [Open] to Close. Its methods may be called at the same time.
type Tracer struct {
	mu           sync.Mutex
	opts         ipitrace.Options
	rowsMax      uint32
	coll         *ebpf.Collection
	links        []link.Link // in the order of events
	start        time.Time
	names        names
	self         uint64 // IPIs of start and stop that the programs could not see
	last         ipi.Snapshot
	missedBefore uint64 // runs of programs, before it counted
	missing      []string
	closed       bool
}

// event is a program and the raw tracepoint that it is for.
type event struct {
	program, tracepoint string
	use                 use
}

type use int

const (
	needed use = iota
	forOrigin
	forCost
)

// events are attached in this order and detached in the other. The first one sees what the
// others cost. The end of something comes before its begin: else a CPU that is in an interrupt
// just then would seem to stay there.
var events = []event{
	{"send_one", "ipi_send_cpu", needed},
	{"send_many", "ipi_send_cpumask", needed},
	{"queue", "csd_queue_cpu", needed},
	{"work_queued", "workqueue_queue_work", forOrigin},
	{"work_starts", "workqueue_execute_start", forOrigin},
	{"softirq_exit", "softirq_exit", forOrigin},
	{"softirq_entry", "softirq_entry", forOrigin},
	{"timer_exit", "local_timer_exit", forOrigin},
	{"timer_entry", "local_timer_entry", forOrigin},
	{"irq_exit", "irq_handler_exit", forOrigin},
	{"irq_entry", "irq_handler_entry", forOrigin},
	{"call_runs", "csd_function_entry", forCost},
	{"single_exit", "call_function_single_exit", forCost},
	{"single_entry", "call_function_single_entry", forCost},
	{"many_exit", "call_function_exit", forCost},
	{"many_entry", "call_function_entry", forCost},
	{"resched_exit", "reschedule_exit", forCost},
	{"resched_entry", "reschedule_entry", forCost},
	{"irq_work_exit", "irq_work_exit", forCost},
	{"irq_work_entry", "irq_work_entry", forCost},
}

// Open loads the programs and starts to count.
func Open(opts ipitrace.Options) (*Tracer, error) { return openWith(opts, 0) }

// openWith can make the kernel's table of rows smaller than the object says, for tests.
func openWith(opts ipitrace.Options, rowsMax uint32) (*Tracer, error) {
	all := ipi.Below(ipi.CPUsMax)
	if opts.Victims == nil {
		opts.Victims = all
	}
	if opts.Senders == nil {
		opts.Senders = all
	}
	t := &Tracer{opts: opts, rowsMax: rowsMax, names: newNames()}
	before := interrupts.Read()
	if err := t.load(); err != nil {
		return nil, explain(err)
	}
	if err := t.attach(before); err != nil {
		t.shut()
		return nil, err
	}
	t.start = time.Now()
	return t, nil
}

// load makes the maps and programs, with the sets written into them.
func (t *Tracer) load() error {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return err
	}
	if t.opts.NoCost {
		for _, e := range events {
			if e.use == forCost {
				delete(spec.Programs, e.program)
			}
		}
	}
	if !t.opts.Stacks {
		spec.Maps["stacks"].MaxEntries = 1
	}
	rows := spec.Maps["rows"]
	if t.rowsMax > 0 {
		rows.MaxEntries = t.rowsMax
	} else if n, err := ebpf.PossibleCPU(); err == nil {
		const perVictim = 256
		rows.MaxEntries = max(rows.MaxEntries, uint32(t.opts.Victims.And(ipi.Below(n)).Len())*perVictim)
	}
	if err := t.settle(spec); err != nil {
		return err
	}
	if t.coll, err = ebpf.NewCollection(spec); err != nil {
		return err
	}
	for name, list := range map[string][]int32{"tgids": t.opts.TGIDs, "pids": t.opts.PIDs} {
		for _, id := range list {
			if err := t.coll.Maps[name].Put(uint32(id), uint8(1)); err != nil {
				return fmt.Errorf("%d threads or processes: %w", len(list), err)
			}
		}
	}
	return nil
}

// settle sets the constants of the programs.
func (t *Tracer) settle(spec *ebpf.CollectionSpec) error {
	flag := func(b bool) uint8 {
		if b {
			return 1
		}
		return 0
	}
	used := uint32(0)
	for cpu := range t.opts.Victims.All() {
		used = max(used, uint32(cpu/64+1))
	}
	if n, err := ebpf.PossibleCPU(); err == nil {
		used = min(used, uint32(n+63)/64)
	}
	for name, value := range map[string]any{
		"victims":     wordsOf(t.opts.Victims),
		"senders":     wordsOf(t.opts.Senders),
		"words":       used,
		"by_tgid":     flag(t.opts.TGIDs != nil),
		"by_pid":      flag(t.opts.PIDs != nil),
		"with_stacks": flag(t.opts.Stacks),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("variable %s of the object: %w", name, err)
		}
	}
	return nil
}

func wordsOf(c ipi.CPUs) (w [words]uint64) {
	copy(w[:], c)
	return w
}

// attach turns the events on. What that sends is the tracer's own: up to the first event, what
// /proc/interrupts says; from there on, what the programs see.
func (t *Tracer) attach(before interrupts.Reading) error {
	if err := t.markSelf(); err != nil {
		return err
	}
	for i, e := range events {
		p := t.coll.Programs[e.program]
		if p == nil {
			continue
		}
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: e.tracepoint, Program: p})
		if errors.Is(err, fs.ErrNotExist) && e.use != needed {
			t.missing = append(t.missing, e.tracepoint)
			continue
		}
		if err != nil {
			return fmt.Errorf("event %s: %w", e.tracepoint, explain(err))
		}
		t.links = append(t.links, l)
		if i == 0 {
			seen, err := t.variable("self_ipis")
			if err != nil {
				return err
			}
			t.self = t.received(before) - seen // both are small; the sum is right
		}
	}
	missed, err := t.missed()
	if err != nil {
		return err
	}
	t.missedBefore = missed
	if err := t.coll.Variables["self_tgid"].Set(uint32(0)); err != nil {
		return err
	}
	return t.coll.Variables["counting"].Set(uint32(1))
}

// received is how many function calls came to the victims since a reading. The flushes of
// the TLB are among them (arch/x86/kernel/irq.c, arch_show_interrupts).
func (t *Tracer) received(since interrupts.Reading) uint64 {
	now, sum := interrupts.Read(), uint64(0)
	for cpu := range t.opts.Victims.All() {
		sum += now.IPIsSince(since, cpu).Call
	}
	return sum
}

// markSelf makes the programs take what this process sends as the tracer's own. The
// process can have another number in the first PID namespace than it knows itself.
func (t *Tracer) markSelf() error {
	if _, err := t.coll.Programs["whoami"].Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("asking for the own process number: %w", err)
	}
	var tgid uint32
	if err := t.coll.Variables["whoami_tgid"].Get(&tgid); err != nil {
		return err
	}
	return t.coll.Variables["self_tgid"].Set(tgid)
}

func (t *Tracer) variable(name string) (v uint64, err error) {
	err = t.coll.Variables[name].Get(&v)
	return v, err
}

// Mode names the means.
func (t *Tracer) Mode() string { return "eBPF, raw tracepoints" }

// Missing says what is not seen, as this kernel lacks an event for it.
func (t *Tracer) Missing() []string { return slices.Clone(t.missing) }

// Close stops and returns all that was counted, now with what the stop has sent.
func (t *Tracer) Close() (ipi.Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.last, nil
	}
	t.closed = true
	err := t.coll.Variables["counting"].Set(uint32(0))
	err = errors.Join(err, t.markSelf(), t.detach(), t.read())
	t.shut()
	return t.last, err
}

// detach turns the events off. The last one cannot see what its end costs.
func (t *Tracer) detach() error {
	var errs []error
	for i, l := range slices.Backward(t.links) {
		if i > 0 {
			errs = append(errs, l.Close())
			continue
		}
		before := interrupts.Read()
		seen, err := t.variable("self_ipis")
		errs = append(errs, err, l.Close())
		late, err := t.variable("self_ipis")
		errs = append(errs, err)
		t.self += t.received(before) - (late - seen)
	}
	t.links = nil
	return errors.Join(errs...)
}

func (t *Tracer) shut() {
	for _, l := range slices.Backward(t.links) {
		l.Close()
	}
	t.links = nil
	if t.coll != nil {
		t.coll.Close()
	}
}

// explain adds what can be done about an error of the kernel.
func explain(err error) error {
	var v *ebpf.VerifierError
	switch {
	case errors.As(err, &v):
		return fmt.Errorf("the kernel refuses the eBPF programs: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: CAP_BPF and CAP_PERFMON are needed, or root, and no lockdown of the kernel (%s)", err, strings.TrimSpace(lockdown()))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the kernel does not have it; Linux 6.5 has, if built with CONFIG_DEBUG_INFO_BTF", err)
	}
	return err
}
