package ipibpf

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

//go:embed ipi_amd64.o
var object []byte

// Tracer counts IPIs from [Open] to Close. Its methods may be called at the same time.
type Tracer struct {
	mu           sync.Mutex
	opts         ipitrace.Options // Victims and Senders are what the filter leaves of them
	tuning       tuning
	plan         plan
	cpus         int
	hooks        []hook
	kprobes      bool   // some hooks are
	lateCalls    bool   // calls are found by kprobes
	averages     bool   // costs are known for all calls together only
	preemptAt    uint64 // where each CPU counts in what it is; 0: not known
	coll         *ebpf.Collection
	links        []link.Link // in the order of hooks
	counters     int         // so many of them count IPIs
	start        time.Time
	took         time.Duration // from there to the end of counting
	spent        spent
	tables       *tables
	stop         chan struct{} // closed by Close
	sweepErr     error
	names        names
	self         uint64 // IPIs of start and stop that the programs could not see
	lookErr      error
	last         ipi.Snapshot
	missedBefore uint64 // runs of programs, before it counted
	missing      []string
	blind        []ipi.Blind
	closed       bool
}

// tuning is for tests.
type tuning struct {
	rows    uint32 // of the kernel's table, if it is to be smaller than the object says
	costs   uint32 // the same of that of costs
	kprobes bool   // where they can be used, even if there are raw tracepoints

	sweep   time.Duration                   // how often; 0: as usual
	symbols func() (*kallsyms.Table, error) // nil: those of the kernel
}

// Open loads the programs and starts to count.
func Open(opts ipitrace.Options) (*Tracer, error) { return openWith(opts, tuning{}) }

func openWith(opts ipitrace.Options, tuning tuning) (*Tracer, error) {
	t := &Tracer{opts: opts, tuning: tuning, names: newNames(tuning.symbols), cpus: possibleCPUs()}
	if err := t.narrow(); err != nil {
		return nil, err
	}
	t.lacksNames()
	if err := t.load(); err != nil {
		t.shut()
		return nil, explain(err)
	}
	if err := t.attach(); err != nil {
		t.shut()
		return nil, err
	}
	t.stop = make(chan struct{})
	if tuning.sweep == 0 {
		tuning.sweep = sweepEvery
	}
	go t.sweep(tuning.sweep)
	return t, nil
}

// sweepEvery is how often it is looked whether the table of rows gets full.
const sweepEvery = 200 * time.Millisecond

func possibleCPUs() int {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return ipi.CPUsMax
	}
	return n
}

// narrow takes into the sets of CPUs what the filter says of them.
func (t *Tracer) narrow() error {
	var symbols *kallsyms.Table
	if t.opts.Filter.Uses(ipifilter.Cause) || t.opts.Filter.Uses(ipifilter.Kind) || t.opts.Filter.Uses(ipifilter.Callback) {
		symbols = t.names.Table()
	}
	p, err := planFor(t.opts.Filter, t.cpus, symbols)
	if err != nil {
		return err
	}
	t.plan = *p
	if t.opts.Victims != nil {
		t.plan.sets.Targets = t.plan.sets.Targets.And(t.opts.Victims)
	}
	if t.opts.Senders != nil {
		t.plan.sets.Senders = t.plan.sets.Senders.And(t.opts.Senders)
	}
	t.opts.Victims, t.opts.Senders = t.plan.sets.Targets, t.plan.sets.Senders
	for _, name := range t.plan.unknown {
		why := fmt.Sprintf("The filter compares with %s, but no function of the kernel is called so now.", name)
		t.lacks(why)
		t.blind = append(t.blind, ipi.Blind{Why: why})
	}
	return t.isVacuous()
}

// isVacuous is an error if nothing at all can be counted, as it would prove nothing.
func (t *Tracer) isVacuous() error {
	for _, set := range []struct {
		cpus ipi.CPUs
		what string
	}{{t.opts.Victims, "are interrupted"}, {t.opts.Senders, "interrupt others"}} {
		if set.cpus.And(ipi.Below(t.cpus)).Len() == 0 {
			return fmt.Errorf("no CPU is left of those that %s: options and filter together exclude all of %v, which this machine can have", set.what, ipi.Below(t.cpus))
		}
	}
	if s := &t.plan.sets; s.TGIDs != nil && len(s.TGIDs) == 0 || s.PIDs != nil && len(s.PIDs) == 0 {
		return errors.New("the filter excludes all processes or threads")
	}
	return nil
}

// lacksNames says what cannot be told for want of names.
func (t *Tracer) lacksNames() {
	if t.names.Table() == nil {
		t.lacks(hidden)
		t.blind = append(t.blind, ipi.Blind{Kinds: []ipi.Kind{ipi.TLB}, Mixed: true, Why: hidden})
	}
	if f := checkCgroups(); !f.OK {
		t.lacks(fmt.Sprintf("The cgroups of senders are not known: %s, %s.", f.Name, f.Why))
	}
}

// load makes the maps and programs, with the sets written into them.
func (t *Tracer) load() error {
	if err := t.chooseHooks(); err != nil {
		return err
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return err
	}
	used := map[string]bool{"whoami": true}
	for _, h := range t.hooks {
		used[h.program] = true
	}
	for name := range spec.Programs {
		if !used[name] {
			delete(spec.Programs, name)
		}
	}
	t.sizes(spec)
	if err := t.settle(spec); err != nil {
		return err
	}
	if t.coll, err = ebpf.NewCollection(spec); err != nil {
		return err
	}
	if t.tables, err = makeTables(t.coll.Maps["rows"], spec.Maps["rows"].InnerMap); err != nil {
		return fmt.Errorf("table of rows: %w", err)
	}
	err = t.choose("tgids", t.opts.TGIDs, t.plan.sets.TGIDs)
	return errors.Join(err, t.choose("pids", t.opts.PIDs, t.plan.sets.PIDs))
}

// sizes makes the tables as large as they need to be.
func (t *Tracer) sizes(spec *ebpf.CollectionSpec) {
	const (
		rowsPerVictim  = 256
		costsPerVictim = 64 // causes
		followed       = 1 << 16
	)
	victims := uint32(t.opts.Victims.And(ipi.Below(t.cpus)).Len())
	size := func(m *ebpf.MapSpec, perVictim, tuned uint32) {
		m.MaxEntries = max(m.MaxEntries, victims*perVictim)
		if tuned > 0 {
			m.MaxEntries = tuned
		}
	}
	size(spec.Maps["rows"].InnerMap, rowsPerVictim, t.tuning.rows)
	size(spec.Maps["costs"], costsPerVictim, t.tuning.costs)
	if !t.opts.Stacks {
		spec.Maps["stacks"].MaxEntries = 1
	}
	if t.opts.Follow {
		spec.Maps["tgids"].MaxEntries = followed
	}
	if !t.opts.Interrupted {
		spec.Maps["interrupted"].MaxEntries = 1
	}
}

// What the values in the sets of threads and processes mean.
const (
	asOption uint8 = 1 << iota
	asFilter
)

// choose fills a set of threads or processes.
func (t *Tracer) choose(name string, options, filter []int32) error {
	ids := make(map[int32]uint8)
	for _, id := range options {
		ids[id] |= asOption
	}
	for _, id := range filter {
		ids[id] |= asFilter
	}
	for id, as := range ids {
		if err := t.coll.Maps[name].Put(uint32(id), as); err != nil {
			return fmt.Errorf("%d threads or processes: %w", len(ids), err)
		}
	}
	return nil
}

// asked says by whom a set of threads or processes is given.
func asked(options, filter []int32) (by uint8) {
	if options != nil {
		by = asOption
	}
	if filter != nil {
		by |= asFilter
	}
	return by
}

// settle sets the constants of the programs.
func (t *Tracer) settle(spec *ebpf.CollectionSpec) error {
	used := uint32(0)
	for cpu := range t.opts.Victims.All() {
		used = max(used, uint32(cpu/64+1))
	}
	maskWords := uint32(t.cpus+63) / 64
	values := map[string]any{
		"victims":          wordsOf(t.opts.Victims),
		"senders":          wordsOf(t.opts.Senders),
		"words":            min(used, maskWords),
		"mask_words":       maskWords,
		"by_tgid":          asked(t.opts.TGIDs, t.plan.sets.TGIDs),
		"by_pid":           asked(t.opts.PIDs, t.plan.sets.PIDs),
		"with_stacks":      flag(t.opts.Stacks),
		"with_interrupted": flag(t.opts.Interrupted),
		"by_kprobes":       flag(t.lateCalls),
		"preempt_at":       t.preemptAt,
	}
	if t.lateCalls {
		values["ttwu_func"] = t.names.Address("sched_ttwu_pending")
	}
	t.plan.program.settle(values)
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("variable %s of the object: %w", name, err)
		}
	}
	return nil
}

// settle puts a filter into the constants.
func (p *program) settle(values map[string]any) {
	var steps [stepsMax]rawStep
	var sets [setsMax][words]uint64
	copy(steps[:], p.steps)
	for i, s := range p.sets {
		sets[i] = wordsOf(s)
	}
	values["steps"] = uint32(len(p.steps))
	values["filter_sets"] = uint32(len(p.sets))
	values["by_mask"] = flag(p.mask)
	values["filter"], values["sets"] = steps, sets
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func wordsOf(c ipi.CPUs) (w [words]uint64) {
	copy(w[:], c)
	return w
}

// markSelf makes the programs take what this process sends as the tracer's own, and tells them in
// which PID namespace it is.
func (t *Tracer) markSelf() error {
	if _, err := t.coll.Programs["whoami"].Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("asking for the own process number: %w", err)
	}
	var tgid uint32
	if err := t.coll.Variables["whoami_tgid"].Get(&tgid); err != nil {
		return err
	}
	if tgid != uint32(os.Getpid()) {
		return fmt.Errorf("the own process number is %d, the kernel's side finds %d: it cannot tell this PID namespace", os.Getpid(), tgid)
	}
	return t.coll.Variables["self_tgid"].Set(tgid)
}

func (t *Tracer) variable(name string) (v uint64, err error) {
	err = t.coll.Variables[name].Get(&v)
	return v, err
}

// Mode names the means.
func (t *Tracer) Mode() string {
	if t.kprobes {
		return "eBPF, kprobes"
	}
	return "eBPF, raw tracepoints"
}

// Missing says what is not seen here, a sentence each.
func (t *Tracer) Missing() []string { return slices.Clone(t.missing) }

// Blind says of what of that small counts prove nothing.
func (t *Tracer) Blind() []ipi.Blind { return slices.Clone(t.blind) }

// Close stops and returns all that was counted, now with what the stop has sent.
func (t *Tracer) Close() (ipi.Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.last, nil
	}
	t.closed = true
	close(t.stop)
	err := t.coll.Variables["counting"].Set(uint32(0))
	t.took = time.Since(t.start)
	err = errors.Join(err, t.markSelf(), t.detach(), t.read())
	t.shut()
	return t.last, err
}

func (t *Tracer) shut() {
	for _, l := range slices.Backward(t.links) {
		l.Close()
	}
	t.links = nil
	t.tables.close()
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
		return fmt.Errorf("%w: the kernel does not have it; CONFIG_DEBUG_INFO_BTF is needed, and Linux 6.5 or CONFIG_KPROBES", err)
	}
	return err
}
