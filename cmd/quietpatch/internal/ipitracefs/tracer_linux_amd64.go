package ipitracefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
	"github.com/quietpatch/quietpatch/internal/host"
)

// Tracer counts IPIs from [Open] to Close. Its methods may be called at the same time.
type Tracer struct {
	mu      sync.Mutex
	opts    ipitrace.Options
	root    dir
	in      *instance
	cpus    int        // that the machine can have
	on      []turnedOn // in the order of events
	buffers buffers
	count   *counter
	missing []string
	blind   []ipi.Blind
	self    uint64 // IPIs of start and stop that no event has seen
	last    ipi.Snapshot
	err     error // of reading, the first
	closed  bool
	stop    chan struct{}
	stopped chan struct{}
}

// turnedOn is an event that is there.
type turnedOn struct {
	*event
	trigger string // that writes its stack, if it has one
}

// tuning is what tests change.
type tuning struct {
	bufferKB int           // of each CPU; 0: as the kernel has it
	interval time.Duration // most time between two readings
	noSets   bool          // as if the kernel did not know CPUS{...}
	symbols  func() (*kallsyms.Table, error)
}

// The kernel has 1408 KB for each CPU (kernel/trace/trace.c, TRACE_BUF_SIZE_DEFAULT): 30,000
// events and more.
const intervalMost = 100 * time.Millisecond

// Open turns the events on and starts to count.
func Open(opts ipitrace.Options) (*Tracer, error) {
	return openWith(opts, tuning{interval: intervalMost})
}

func openWith(opts ipitrace.Options, tune tuning) (*Tracer, error) {
	// The thread that turns events on is the one whose IPIs are the tracer's own.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	root, err := openTracefs()
	if err != nil {
		return nil, err
	}
	t := &Tracer{opts: opts, root: root, stop: make(chan struct{}), stopped: make(chan struct{})}
	if err = t.prepare(tune); err == nil {
		err = t.turnOn()
	}
	if err != nil {
		return nil, errors.Join(err, t.shut())
	}
	go t.run(tune.interval)
	return t, nil
}

// prepare makes an instance with its filters, and opens its buffers.
func (t *Tracer) prepare(tune tuning) error {
	cpus, err := host.CPUs()
	if err != nil {
		return err
	}
	f, err := makeFilters(t.opts.Victims, t.opts.Senders, t.opts.Filter, cpus)
	if err != nil {
		return err
	}
	t.cpus = cpus
	if t.in, err = newInstance(t.root); err != nil {
		return err
	}
	settings := []struct{ file, text string }{{"tracing_on", "1"}, {"trace_clock", "mono"}}
	if tune.bufferKB > 0 {
		settings = append(settings, struct{ file, text string }{"buffer_size_kb", fmt.Sprint(tune.bufferKB)})
	}
	for _, s := range settings {
		if err := t.in.write(s.file, s.text); err != nil {
			return explain(err)
		}
	}
	if err := t.prepareEvents(&f, tune); err != nil {
		return err
	}
	if err := t.prepareCount(&f, tune); err != nil {
		return err
	}
	return t.buffers.open(t.in.dir, cpus)
}

// prepareCount makes what counts, with the names that are known here.
func (t *Tracer) prepareCount(f *filters, tune tuning) error {
	proc := "/proc"
	if !firstNamespace() {
		if t.opts.PIDs != nil || t.opts.TGIDs != nil {
			return errors.New("processes and threads cannot be selected from within a PID namespace: the events number them as the first one does")
		}
		proc = ""
		t.missing = append(t.missing, "This is not the first PID namespace: processes have the numbers of that, and those that were there before have no names. Of what the tracer sends itself only that of two threads is known to be its own.")
	}
	t.count = newCounter(t.opts, newTasks(proc))
	t.count.full = f.full
	if tune.symbols != nil {
		t.count.names = ipinames.From(tune.symbols)
	}
	t.count.tasks.scan()
	if t.count.names.Table() != nil {
		return nil
	}
	const hidden = "/proc/kallsyms hides the addresses (kernel.kptr_restrict, CAP_SYSLOG)"
	for _, field := range []ipifilter.Field{ipifilter.Cause, ipifilter.CallbackName, ipifilter.Kind} {
		if t.opts.Filter.Uses(field) {
			return fmt.Errorf("filter %q: %v is not known here: %s", t.opts.Filter, field, hidden)
		}
	}
	nameless := "Functions have no names, and TLB flushes are function calls: " + hidden + "."
	t.missing = append(t.missing, nameless)
	t.blind = append(t.blind, ipi.Blind{Kinds: []ipi.Kind{ipi.TLB}, Mixed: true, Why: nameless})
	return nil
}

// firstNamespace reports whether the numbers of processes here are those of the events
// (include/uapi/linux/nsfs.h, PID_NS_INIT_INO).
func firstNamespace() bool {
	link, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && link == fmt.Sprintf("pid:[%d]", uint32(0xEFFFFFFC))
}

// prepareEvents looks which events there are, and gives them their filters.
func (t *Tracer) prepareEvents(f *filters, tune tuning) error {
	sets, err := t.takesSets()
	if err != nil {
		return explain(err)
	}
	t.buffers.decoder = newDecoder()
	for i := range events {
		e := &events[i]
		if e.unused(&t.opts) {
			continue
		}
		filter := ""
		if sets && !tune.noSets {
			filter = f.kernel(e)
		}
		err := t.prepareEvent(e, filter)
		switch {
		case err == nil && e.use != forStacks:
			t.on = append(t.on, turnedOn{e, e.triggerFor(&t.opts, filter)})
		case err != nil && e.use != needed && errors.Is(err, fs.ErrNotExist):
			t.missing = append(t.missing, fmt.Sprintf("Event %s is missing: %s.", e.name, e.lost))
			if e.what == taskNew && t.opts.Follow {
				t.missing = append(t.missing, "Processes that are started by those asked for are not followed.")
			}
		case err != nil:
			return eventError(e, err)
		}
	}
	if !t.opts.Stacks {
		t.missing = append(t.missing, "System calls are known only with stacks, and their arguments never.")
	}
	return nil
}

// takesSets reports whether the kernel knows CPUS{...}. Of those that have the events only Linux 6.5 does
// not: it writes all events, and the counter leaves out what was not asked for.
func (t *Tracer) takesSets() (bool, error) {
	file := "events/" + events[0].name + "/filter"
	if t.in.write(file, "CPU & CPUS{0}") != nil {
		return false, nil
	}
	return true, t.in.write(file, "0")
}

func (t *Tracer) prepareEvent(e *event, filter string) error {
	folder := "events/" + e.name + "/"
	text, err := t.in.read(folder + "format")
	if err != nil {
		return err
	}
	if err := t.buffers.decoder.add(e, text); err != nil {
		return err
	}
	if filter == "" {
		return nil
	}
	return t.in.write(folder+"filter", filter)
}

func eventError(e *event, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("event %s: %w: this kernel does not have it; Linux has the events of IPIs and their causes since 6.5", e.name, err)
	}
	return fmt.Errorf("event %s: %w", e.name, explain(err))
}

// Mode names the means.
func (t *Tracer) Mode() string { return "tracefs, ring buffer" }

// Blind says of what of that small counts prove nothing.
func (t *Tracer) Blind() []ipi.Blind { return slices.Clone(t.blind) }

// Missing says what is not seen. What is known only later is in it then.
func (t *Tracer) Missing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	missing := slices.Clone(t.missing)
	if t.count != nil && t.count.merged {
		missing = append(missing, fmt.Sprintf("There are more than %d different rows: what came later has no process and no origin.", t.count.rowsMax))
	}
	return missing
}
