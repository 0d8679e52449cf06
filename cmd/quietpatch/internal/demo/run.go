package demo

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/progress"
	"github.com/quietpatch/quietpatch/internal/barrier"
)

const (
	// clientsPerCPU keeps every CPU busy although clients wait for responses.
	clientsPerCPU = 4

	// threadsPerCPU is how many threads may run Go code for each CPU, beside
	// the flipper. With one, a CPU idles whenever a thread waits in the kernel,
	// and a sync passes over a CPU that idles.
	threadsPerCPU = 2

	// enoughIPIsPerSync is less than the 1 of a CPU that is always busy with
	// this process, because the kernel's own threads take their share.
	enoughIPIsPerSync = 0.75

	// gcPercent lets the heap grow to five times what is live. The runtime's
	// calls to get and give back memory send TLB shootdowns, and they would
	// drown what the demo counts.
	gcPercent = 400
)

// Run measures the rows that the options ask for, in this process. It returns
// an error if it could not run; what went wrong in a run that did happen is in
// the Result. A context that is done ends the run after the flip under way,
// with the rows so far.
func Run(ctx context.Context, o Options, p progress.Writer) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	key, err := kv.Key()
	if err != nil {
		return nil, fmt.Errorf("register the key %s: %w", kv.KeyName, err)
	}
	app, err := documentStore()
	if err != nil {
		return nil, err
	}
	// Without membarrier there is no bare sync; Sync says so each time.
	_ = barrier.Register()
	return run(ctx, o, p, library{key: key}, app)
}

// run is Run on any library and application.
func run(ctx context.Context, o Options, p progress.Writer, lib patcher, app application) (*Result, error) {
	rows, err := planRows(o, lib.Backends())
	if err != nil {
		return nil, err
	}
	allowed, err := affinity.Allowed()
	if err != nil {
		return nil, fmt.Errorf("read the CPUs of this process: %w", err)
	}
	r := &runner{options: o, progress: p, lib: lib, rows: rows}
	r.result = Result{
		CPUs: len(allowed), Key: kv.KeyName, Checks: app.stages, Clients: clientsPerCPU * len(allowed),
		GCPercent: gcPercent, Notes: []string{}, Rows: []Row{},
	}
	r.result.BusyCPU, r.result.FlipCPU, err = chooseCPUs(allowed, o.BusyCPU)
	if err != nil {
		return nil, err
	}

	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threadsPerCPU*len(allowed) + 1))

	r.load, err = startLoad(app, &r.gate, r.result.Clients)
	if err != nil {
		return nil, err
	}
	flipper := make(chan struct{})
	go func() {
		defer close(flipper)
		r.flip(ctx)
	}()
	<-flipper
	return r.finish(ctx)
}

// A runner is one run of the demo.
type runner struct {
	options    Options
	progress   progress.Writer
	lib        patcher
	rows       []spec
	gate       gate
	load       *load
	noise      noise
	memoryFrom spec    // the first row that did not change code
	syncNs     []int64 // of all rows
	result     Result
}

// flip measures everything, on one thread on one CPU. It never unlocks the
// thread, so the pinned thread ends with the goroutine.
func (r *runner) flip(ctx context.Context) {
	runtime.LockOSThread()
	if err := affinity.Pin(r.result.FlipCPU); err != nil {
		r.note("the flips are not pinned to a CPU: %v", err)
	}
	r.progress.Update("[0/%d] noise: the load without flips", len(r.rows))
	measureNoise(ctx, r.result.BusyCPU, r.warmUpTime()) // let the load reach its pace
	r.noise = measureNoise(ctx, r.result.BusyCPU, r.options.RowDuration)
	r.result.NoiseCallIPIs, r.result.NoiseTLBIPIs = r.noise.call, r.noise.tlb
	r.progress.Line("[0/%d] noise: %s call and %s TLB IPIs per s on CPU %d", len(r.rows),
		number(r.noise.call, 0), number(r.noise.tlb, 0), r.result.BusyCPU)
	for i, s := range r.rows {
		if ctx.Err() != nil {
			break
		}
		r.row(ctx, fmt.Sprintf("[%d/%d]", i+1, len(r.rows)), s)
	}
	if r.gate.on() {
		if err := r.gate.flip(false, r.lib.Set); err != nil {
			r.note("the key stays on: %v", err)
		}
	}
}

func (r *runner) warmUpTime() time.Duration { return r.options.RowDuration / 10 }

func (r *runner) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// row switches the library to a strategy and a backend and measures them.
func (r *runner) row(ctx context.Context, step string, s spec) {
	r.progress.Update("%s %v: arming", step, s)
	m := &meter{lib: r.lib, gate: &r.gate, busyCPU: r.result.BusyCPU}
	before := r.load.totals()
	if err := r.configure(s); err != nil {
		m.fail(err)
		r.add(m, state{strategy: s.strategy, backend: s.backend}, before)
		r.progress.Line("%s %v: %v", step, s, err)
		return
	}
	m.warmUp(ctx, r.warmUpTime())
	got := r.state()
	if got.mode != modeLive {
		got.strategy, got.backend = strategyMemory, backendNone
		r.noteMemory(s, got.reason)
		if r.hasMemoryRow() {
			r.progress.Line("%s %v: reads from memory", step, s)
			return
		}
	}
	m.run(ctx, r.options.RowDuration, func() {
		r.progress.Update("%s %v: %d flips, %d requests", step, s, len(m.flipNs), r.load.totals().minus(before).requests)
	})
	row := r.add(m, got, before)
	r.progress.Line("%s %v: %d flips, median %s us, %d requests, %d failed", step, s,
		row.Flips, micros(row.FlipNsMedian), row.Requests, row.FailedRequests)
}

func (r *runner) configure(s spec) error {
	strategy := s.strategy
	if strategy == strategyMemory {
		strategy = "" // the library's default: it makes no difference
	}
	if len(r.lib.Backends()) == 0 {
		return nil // nothing to choose from: run in the mode that there is
	}
	return r.lib.Configure(strategy, s.backend)
}

// state is what the library says, but live only if at least one site is armed.
func (r *runner) state() state {
	s := r.lib.State()
	armed, why := r.lib.Sites()
	if s.mode != modeLive || armed > 0 {
		return s
	}
	s.mode, s.reason = modeMemory, "no check of the key is an armed site; was this built without inlining?"
	if len(why) > 0 {
		s.reason = "no check of the key is an armed site; the first: " + why[0]
	}
	return s
}

// noteMemory tells the user why a row that should change code does not, but
// not for each row again.
func (r *runner) noteMemory(s spec, reason string) {
	if r.result.Reason != "" {
		return
	}
	r.result.Reason = reason
	r.memoryFrom = s
}

func (r *runner) hasMemoryRow() bool {
	for _, row := range r.result.Rows {
		if row.Strategy == strategyMemory {
			return true
		}
	}
	return false
}

// add finishes a row and puts it into the result.
func (r *runner) add(m *meter, s state, before totals) Row {
	row := m.row(s, r.noise)
	served := r.load.totals().minus(before)
	row.Requests, row.CheckedRequests, row.FailedRequests = served.requests, served.checked, served.failed
	if s.mode == modeLive {
		r.result.Mode = modeLive
		r.noteSites(&row)
	}
	r.syncNs = append(r.syncNs, m.syncNs...)
	r.result.Errors += row.Errors
	r.result.Rows = append(r.result.Rows, row)
	return row
}

// noteSites fills in the number of armed sites, and says which checks go on
// reading memory, since those make a row look cheaper than it is.
func (r *runner) noteSites(row *Row) {
	var why []string
	row.Sites, why = r.lib.Sites()
	if row.Sites >= r.result.Checks {
		return
	}
	text := fmt.Sprintf("%s on %s: %d of %d checks are armed sites", row.Strategy, row.Backend, row.Sites, r.result.Checks)
	if len(why) > 0 {
		text += "; the first that is not: " + why[0]
	}
	r.note("%s", text)
}

// noteIdle tells the user in which rows the busy CPU was not busy enough with
// this process.
func (r *runner) noteIdle() {
	var rows []string
	for _, row := range r.result.Rows {
		if row.Backend != backendNone && row.CallIPIsPerSync >= 0 && row.CallIPIsPerSync < enoughIPIsPerSync {
			rows = append(rows, fmt.Sprintf("%s on %s (%s)", row.Strategy, row.Backend, percent(row.CallIPIsPerSync)))
		}
	}
	if len(rows) > 0 && r.result.CPUs > 1 {
		r.note("a sync passes over a CPU that idles or runs another program. In these rows few of the bare syncs met this program"+
			" on CPU %d, so times and IPIs are too low and ratios unsure; run again on a quiet machine: %s",
			r.result.BusyCPU, strings.Join(rows, ", "))
	}
}

// finish stops the load and completes the result.
func (r *runner) finish(ctx context.Context) (*Result, error) {
	if err := r.load.shutdown(); err != nil {
		return nil, fmt.Errorf("stop the server: %w", err)
	}
	r.progress.Clear()
	res := &r.result
	r.finishMode()
	if res.CPUs == 1 {
		r.note("one CPU: the flips share it with the load, and there is no other CPU to interrupt")
	}
	r.noteIdle()
	t := r.load.totals()
	res.Requests, res.CheckedRequests, res.FailedRequests = t.requests, t.checked, t.failed
	res.FirstFailure = r.load.firstFailure()
	res.SyncNs, res.Syncs = percentile(r.syncNs, 50), len(r.syncNs)
	res.Interrupted = ctx.Err() != nil
	return res, nil
}

// finishMode settles the mode and its reason.
func (r *runner) finishMode() {
	res := &r.result
	switch {
	case res.Mode == modeLive && res.Reason != "":
		// Of some rows only: then it is a note, not the reason for the mode.
		r.note("from %v on, keys are read from memory: %s", r.memoryFrom, res.Reason)
		res.Reason = ""
	case res.Mode == "":
		res.Mode = modeMemory
		if res.Reason == "" {
			res.Reason = "no row was measured"
		}
	}
}
