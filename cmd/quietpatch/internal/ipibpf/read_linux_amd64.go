package ipibpf

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
)

// Read returns what was counted since the start. After Close it is what Close has returned.
func (t *Tracer) Read() (ipi.Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.last, nil
	}
	err := t.read()
	return t.last, err
}

// read makes a new snapshot.
func (t *Tracer) read() error {
	s := ipi.Snapshot{At: time.Since(t.start)}
	if t.closed {
		s.At = t.took
	}
	keys, values, err := t.tables.read()
	if err = errors.Join(err, t.sweepErr); err != nil {
		return fmt.Errorf("table of rows: %w", err)
	}
	costs, err := t.costs()
	if err != nil {
		return fmt.Errorf("table of costs: %w", err)
	}
	if s.Lost, err = t.lost(); err != nil {
		return err
	}
	seen, err := t.variable("self_ipis")
	if err != nil {
		return err
	}
	s.SelfIPIs = t.self + seen
	if t.opts.Stacks {
		s.Stacks = make(map[int32][]string)
	}
	s.Rows = t.rows(keys, values, costs, s.Stacks)
	if s.Interrupted, err = t.interrupted(); err != nil {
		return fmt.Errorf("table of interrupted threads: %w", err)
	}
	t.last = s
	return nil
}

// entries reads a whole map, in large pieces where the kernel can.
func entries[K, V any](m *ebpf.Map) (keys []K, values []V, err error) {
	const piece = 1024
	var cursor ebpf.MapBatchCursor
	for {
		k, v := make([]K, piece), make([]V, piece)
		n, err := m.BatchLookup(&cursor, k, v, nil)
		keys, values = append(keys, k[:n]...), append(values, v[:n]...)
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return keys, values, nil
		case err != nil:
			return nil, nil, err
		}
	}
}

// lost sums up what could not be counted: the table was full, or a program could not run since it
// ran on that CPU already.
func (t *Tracer) lost() (uint64, error) {
	full, err := t.variable("lost")
	if err != nil {
		return 0, err
	}
	missed, err := t.missed()
	return full + missed - t.missedBefore, err
}

// missed sums up the times that a program could not run.
func (t *Tracer) missed() (sum uint64, err error) {
	for name, p := range t.coll.Programs {
		stats, err := p.Stats()
		if err != nil {
			return 0, fmt.Errorf("statistics of %s: %w", name, err)
		}
		sum += stats.RecursionMisses
	}
	return sum, nil
}

// costs are sums, for each cause on each victim.
func (t *Tracer) costs() (map[costKey]rawCost, error) {
	keys, values, err := entries[rawCostKey, rawCost](t.coll.Maps["costs"])
	if err != nil {
		return nil, err
	}
	sums := make(map[costKey]rawCost)
	for i, k := range keys {
		kind, cause := t.names.cause(k.Kind, k.Func)
		key := costKey{int(k.CPU), kind, cause}
		sum := sums[key]
		sum.Runs += values[i].Runs
		sum.NS += values[i].NS
		sums[key] = sum
	}
	return sums, nil
}

// rows names what was counted, and merges what then has the same name.
func (t *Tracer) rows(keys []rawKey, values []rawValue, costs map[costKey]rawCost, stacks map[int32][]string) []ipi.Row {
	index := make(map[ipi.Key]int)
	var rows []ipi.Row
	for i := range keys {
		if t.plan.rows != nil && !t.plan.rows.Match(t.record(&keys[i])) {
			continue
		}
		k := t.key(&keys[i], stacks)
		at, ok := index[k]
		if !ok {
			at = len(rows)
			index[k] = at
			rows = append(rows, ipi.Row{Key: k, Remedy: t.names.Remedy(k)})
		}
		rows[at].IPIs += values[i].IPIs
		rows[at].Queued += values[i].Queued
	}
	t.spent.share(rows, costs, t.averages)
	return rows
}

// record is what a filter can know of a row.
func (t *Tracer) record(k *rawKey) *ipifilter.Record {
	o := &k.Origin
	r := &ipifilter.Record{
		Target: int(k.CPU), PID: int32(o.TID), TGID: int32(o.TGID),
		Comm: text(o.Thread[:]), Process: text(o.Comm[:]), Func: k.Func,
	}
	r.Kind, r.Cause = t.names.cause(k.Kind, k.Func)
	if k.Kind == kindCall {
		r.Handler, r.Callback = ipinames.CallHandler, t.names.Address(ipinames.CallHandler)
	}
	return r
}

// interrupted names the threads that were interrupted, and merges what then has the same name.
func (t *Tracer) interrupted() ([]ipi.Interrupted, error) {
	if !t.opts.Interrupted {
		return nil, nil
	}
	keys, values, err := entries[rawThreadKey, rawCost](t.coll.Maps["interrupted"])
	if err != nil {
		return nil, err
	}
	index := make(map[ipi.Interrupted]int)
	var list []ipi.Interrupted
	for i := range keys {
		k := &keys[i]
		who := ipi.Interrupted{
			CPU: int(k.CPU), PID: int(k.TGID), TID: int(k.TID), Comm: text(k.Comm[:]), Thread: text(k.Thread[:]),
		}
		who.Kind, who.Cause = t.names.cause(k.Kind, k.Func)
		at, ok := index[who]
		if !ok {
			at = len(list)
			index[who] = at
			list = append(list, who)
		}
		list[at].Runs += values[i].Runs
		list[at].CostNS += values[i].NS
	}
	return list, nil
}

func (t *Tracer) key(k *rawKey, stacks map[int32][]string) ipi.Key {
	o := &k.Origin
	key := ipi.Key{CPU: int(k.CPU), Sender: o.sender(), StackID: k.Stack}
	key.Kind, key.Cause = t.names.cause(k.Kind, k.Func)
	key.Sender.Cgroup = t.names.cgroup(o.Cgroup)
	key.Origin = ipi.Origin{Syscall: o.syscall(), Detail: o.detail(), Path: o.path(t.names.Function)}
	if o.Work != 0 && o.Known != 0 {
		key.Origin.Via = text(k.Via[:])
	}
	if t.names.isGo(o.TGID, key.Sender.Comm) {
		key.Origin.Detail = plus(key.Origin.Detail, "go")
	}
	if k.Stack >= 0 && stacks != nil {
		functions, ok := stacks[k.Stack]
		if !ok {
			functions = t.stack(k.Stack)
			stacks[k.Stack] = functions
		}
		for _, f := range functions {
			if t.names.Telling(f) {
				key.Origin.Detail = plus(key.Origin.Detail, f)
			}
		}
	}
	return key
}

func plus(words, more string) string {
	if words == "" {
		return more
	}
	return words + " " + more
}

// stackDepth is that of the object.
const stackDepth = 48

// stack returns the functions of a stack, innermost first, without those that took it.
func (t *Tracer) stack(id int32) []string {
	var addrs [stackDepth]uint64
	if err := t.coll.Maps["stacks"].Lookup(uint32(id), &addrs); err != nil {
		return nil
	}
	var functions []string
	for _, a := range addrs {
		if a == 0 {
			break
		}
		if f := t.names.ReturnsTo(a); len(functions) > 0 || !tracing(f) {
			functions = append(functions, f)
		}
	}
	return functions
}

// tracing knows the functions between an event and a program (kernel/trace/bpf_trace.c,
// include/trace/bpf_probe.h).
func tracing(function string) bool {
	for _, prefix := range []string{"bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_"} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
