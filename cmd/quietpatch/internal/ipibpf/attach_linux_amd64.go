package ipibpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
)

// hasTracepoint looks for the type that the kernel has for each of its tracepoints
// (include/trace/bpf_probe.h).
func hasTracepoint(spec *btf.Spec, name string) bool {
	var t *btf.Typedef
	return spec.TypeByName("btf_trace_"+name, &t) == nil
}

// chooseHooks looks which means the kernel has.
func (t *Tracer) chooseHooks() error {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return err
	}
	has := func(name string) bool { return hasTracepoint(spec, name) }
	t.lateCalls = t.tuning.kprobes || !has(queueEvent)
	if t.preemptAt, err = t.findPreemptCount(); err != nil {
		t.lacks(noCount)
	}
	list := slices.DeleteFunc(slices.Clone(events), func(e event) bool { return !t.wants(&e) })
	t.hooks = hooksFor(list, has, t.tuning.kprobes)
	if !t.lateCalls {
		t.hooks = queuesFirst(t.hooks)
	}
	for _, h := range t.hooks {
		t.kprobes = t.kprobes || h.kprobe
	}
	if t.lateCalls {
		t.lacks(manyLate)
	}
	if t.kprobes {
		t.lacks(kprobed)
	}
	return nil
}

// wants reports whether an event is of use with these options, on this kernel.
func (t *Tracer) wants(e *event) bool {
	costs := !t.opts.NoCost || t.opts.Interrupted
	switch e.use {
	case forCost:
		return costs
	case forVector:
		// By kprobes irq_work is counted where it arrives.
		return costs || t.preemptAt == 0 || t.lateCalls && e.lost == noIRQWork
	case forContext:
		return t.preemptAt == 0
	case forFollow:
		return t.opts.Follow
	case forNumbers:
		return asked(t.opts.TGIDs, t.plan.sets.TGIDs)|asked(t.opts.PIDs, t.plan.sets.PIDs) != 0
	}
	return true
}

func (t *Tracer) lacks(sentence string) {
	if !slices.Contains(t.missing, sentence) {
		t.missing = append(t.missing, sentence)
	}
}

// attach turns the events on. What that sends is the tracer's own. The programs see it from the
// first event on, or, by kprobes, once all that count IPIs are on; until then, /proc/interrupts tells, for a
// few milliseconds.
func (t *Tracer) attach() error {
	if err := t.markSelf(); err != nil {
		return err
	}
	first := t.look()
	for i, h := range t.hooks {
		if err := t.attachHook(h); err != nil {
			return err
		}
		if i == 0 && !t.lateCalls {
			t.self = t.unseen(first, t.look())
		}
		if isCounter(h) && (i+1 == len(t.hooks) || !isCounter(t.hooks[i+1])) {
			now := t.look()
			if t.lateCalls {
				t.self = t.unseen(first, now)
			} else { // the calls, until all IPIs were counted, too
				t.self += now.queued - now.ipis
			}
			t.counters = len(t.links)
		}
	}
	if t.lookErr != nil {
		return t.lookErr
	}
	missed, err := t.missed()
	if err != nil {
		return err
	}
	t.missedBefore = missed
	if t.watchesSelf() {
		err = t.coll.Variables["self_tgid"].Set(uint32(0))
	}
	t.start = time.Now()
	return errors.Join(err, t.coll.Variables["counting"].Set(uint32(1)))
}

func isCounter(h hook) bool { return h.use == counts || h.use == queues && !h.kprobe }

// watchesSelf reports whether the tracer's own process was asked for.
func (t *Tracer) watchesSelf() bool {
	self := int32(os.Getpid())
	for _, id := range slices.Concat(t.opts.PIDs, t.plan.sets.PIDs) {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", id)); err == nil {
			return true
		}
	}
	return slices.Contains(t.opts.TGIDs, self) || slices.Contains(t.plan.sets.TGIDs, self)
}

func (t *Tracer) attachHook(h hook) (err error) {
	var l link.Link
	p := t.coll.Programs[h.program]
	if h.kprobe {
		l, err = link.Kprobe(h.target, p, nil)
	} else {
		l, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: h.target, Program: p})
	}
	if errors.Is(err, fs.ErrNotExist) && !h.needed {
		t.lacks(h.lost)
		t.averages = t.averages || h.lost == noCause
		return nil
	}
	if err != nil {
		means := "event"
		if h.kprobe {
			means = "kprobe on"
		}
		return fmt.Errorf("%s %s: %w", means, h.target, explain(err))
	}
	t.links = append(t.links, l)
	return nil
}

// detach turns the events off, in the other order.
func (t *Tracer) detach() error {
	var errs []error
	closeDownTo := func(n int) {
		for len(t.links) > n {
			errs = append(errs, t.links[len(t.links)-1].Close())
			t.links = t.links[:len(t.links)-1]
		}
	}
	closeDownTo(t.counters)
	before := t.look()
	if !t.lateCalls {
		closeDownTo(1)
		now := t.look()
		t.self += now.queued - before.queued - (now.ipis - before.ipis)
		before = now
	}
	closeDownTo(0)
	t.self += t.unseen(before, t.look())
	return errors.Join(append(errs, t.lookErr)...)
}

// look is what was counted of the tracer's own, and of all.
type look struct {
	ipis, queued uint64
	all          interrupts.Reading
}

func (t *Tracer) look() (l look) {
	for name, v := range map[string]*uint64{"self_ipis": &l.ipis, "self_queued": &l.queued} {
		if err := t.coll.Variables[name].Get(v); err != nil {
			t.lookErr = err
		}
	}
	l.all = interrupts.Read()
	return l
}

// unseen is what came to the victims between two looks and the programs did not see: function calls
// that others have sent are among them. The flushes of the TLB are calls, too (arch/x86/kernel/irq.c,
// arch_show_interrupts).
func (t *Tracer) unseen(from, to look) uint64 {
	sum := uint64(0)
	for cpu := range t.opts.Victims.All() {
		sum += to.all.IPIsSince(from.all, cpu).Call
	}
	seen := to.queued - from.queued
	if t.lateCalls {
		seen = to.ipis - from.ipis
	}
	return sum - min(seen, sum)
}
