package ipibpf

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

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
	}
	return true
}

func (t *Tracer) lacks(sentence string) {
	if !slices.Contains(t.missing, sentence) {
		t.missing = append(t.missing, sentence)
	}
}

// attach turns the events on. What that sends is the tracer's own: until all that count IPIs are
// on, what /proc/interrupts says; from there on, what the programs see.
func (t *Tracer) attach(before interrupts.Reading) error {
	if err := t.markSelf(); err != nil {
		return err
	}
	for i, h := range t.hooks {
		if err := t.attachHook(h); err != nil {
			return err
		}
		if last := i+1 == len(t.hooks) || t.hooks[i+1].use != counts; h.use == counts && last {
			seen, err := t.variable("self_ipis")
			if err != nil {
				return err
			}
			t.self = t.received(before) - seen // both are small; the sum is right
			t.counters = len(t.links)
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

// received is how many function calls came to the victims since a reading. The flushes of
// the TLB are among them (arch/x86/kernel/irq.c, arch_show_interrupts).
func (t *Tracer) received(since interrupts.Reading) uint64 {
	now, sum := interrupts.Read(), uint64(0)
	for cpu := range t.opts.Victims.All() {
		sum += now.IPIsSince(since, cpu).Call
	}
	return sum
}

// detach turns the events off. Those that count cannot see what their end costs.
func (t *Tracer) detach() error {
	var errs []error
	counters := min(t.counters, len(t.links))
	for _, l := range slices.Backward(t.links[counters:]) {
		errs = append(errs, l.Close())
	}
	before := interrupts.Read()
	seen, err := t.variable("self_ipis")
	errs = append(errs, err)
	for _, l := range slices.Backward(t.links[:counters]) {
		errs = append(errs, l.Close())
	}
	late, err := t.variable("self_ipis")
	errs = append(errs, err)
	t.self += t.received(before) - (late - seen)
	t.links = nil
	return errors.Join(errs...)
}
