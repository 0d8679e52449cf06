package ipifilter

import (
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Event is a trace event of the kernel: what a filter of it may look at. A field that it
// lists must hold what [Record] says: a caller whose records name somebody else than the
// thread that ran leaves PID and Comm out. The kernel knows CPUS{...}, as Linux does since 6.6.
type Event struct {
	Name string
	// Fields are the kernel's names. Target is one of 32 or 64 bits without a sign,
	// Func, Callback, Cause and CallbackName are pointers.
	Fields map[Field]string
	// Single says that the event is of one victim, so that cpumask is cpu.
	Single bool
	// Function reports whether the kernel has exactly one function of a name and can
	// compare with it, for which .function is there in Linux 6.12 and not in 6.1. With two
	// of a name it would look at one only; a filter with none is refused. nil: no name.
	Function func(name string) bool
}

// threadFields are there for every event (kernel/trace/trace_events.c,
// trace_define_generic_fields and trace_define_common_fields).
func threadFields() map[Field]string {
	return map[Field]string{CPU: "CPU", PID: "common_pid", Comm: "comm"}
}

// SendCPU is ipi:ipi_send_cpu, an IPI to one CPU.
func SendCPU() Event {
	e := Event{Name: "ipi:ipi_send_cpu", Fields: threadFields(), Single: true}
	e.Fields[Target] = "cpu"
	e.Fields[Callback], e.Fields[CallbackName] = "callback", "callback"
	return e
}

// SendCPUMask is ipi:ipi_send_cpumask, an IPI to several CPUs. It has no field cpu: by
// that name the kernel finds the CPU that sends.
func SendCPUMask() Event {
	e := Event{Name: "ipi:ipi_send_cpumask", Fields: threadFields()}
	e.Fields[Mask] = "cpumask"
	e.Fields[Callback], e.Fields[CallbackName] = "callback", "callback"
	return e
}

// QueueCPU is csd:csd_queue_cpu, a call queued for one CPU. Its records have no Mask.
func QueueCPU() Event {
	e := Event{Name: "csd:csd_queue_cpu", Fields: threadFields(), Single: true}
	e.Fields[Target] = "cpu"
	e.Fields[Func], e.Fields[Cause] = "func", "func"
	return e
}

// Limits of the kernel: a filter fits into a page (event_filter_write), with room for a newline,
// and a string into MAX_FILTER_STR_VAL (include/linux/trace_events.h).
const (
	kernelMax       = 4096 - 2
	kernelStringMax = 256 - 1
)

// Split divides the filter for an event: kernel is what the kernel can evaluate for it, a
// filter string or "" for everything, and rest what has to be evaluated for the records
// that the kernel lets pass, nil for nothing. A record passes kernel and rest exactly if
// it passes the filter, provided that its Target is one of its Mask.
//
// What is split are the parts that && joins. Where a part can be given to the kernel only
// in a weaker form, such as cpumask & CPUS{2} for cpu == 2 of an IPI to several CPUs, it is
// in rest, too.
func (x *Expr) Split(e Event) (kernel string, rest *Expr) {
	if x == nil {
		return "", nil
	}
	r := renderer{event: e, cpus: x.cpus}
	var own []*node
	for _, part := range parts(x.root) {
		text, exact, ok := r.render(part)
		if ok && kernel != "" {
			text = kernel + " && " + text
		}
		if ok && len(text) <= kernelMax {
			kernel = text
			if exact {
				continue
			}
		}
		own = append(own, part)
	}
	return strings.TrimSpace(kernel), exprOf(own, x.cpus)
}

// exprOf joins parts by &&; none of them is nil.
func exprOf(parts []*node, cpus int) *Expr {
	if len(parts) == 0 {
		return nil
	}
	return newExpr(join(and, parts...), cpus)
}

// parts returns what && joins, with ! moved to the comparisons.
func parts(n *node) []*node {
	n = inward(n, false)
	if n.kind == and {
		return n.kids
	}
	return []*node{n}
}

// inward moves ! to the comparisons by De Morgan's rules.
func inward(n *node, inverted bool) *node {
	switch n.kind {
	case not:
		return inward(n.kids[0], !inverted)
	case leaf:
		if !inverted {
			return n
		}
		if op, ok := n.cmp.op.negated(); ok && !n.cmp.isSet() {
			c := n.cmp
			c.op = op
			return &node{cmp: c}
		}
		return negate(n)
	}
	kind := n.kind
	if inverted {
		kind = and + or - kind
	}
	var kids []*node
	for _, k := range n.kids {
		kids = append(kids, inward(k, inverted))
	}
	return join(kind, kids...)
}

// renderer writes filters in the kernel's words.
type renderer struct {
	event Event
	cpus  int
}

// render returns what the kernel can evaluate of a node: exactly that, or something that is
// true wherever the node is. ok is false if there is nothing.
func (r renderer) render(n *node) (text string, exact, ok bool) {
	switch n.kind {
	case not: // of a comparison only
		if text, exact, ok := r.leaf(&n.kids[0].cmp); ok && exact {
			return "!(" + text + ")", true, true
		}
		return r.weak(n)
	case leaf:
		if text, exact, ok := r.leaf(&n.cmp); ok {
			return text, exact, true
		}
		return r.weak(n)
	}
	exact = true
	var texts []string
	for _, k := range n.kids {
		text, kidExact, kidOK := r.render(k)
		exact = exact && kidExact
		if kidOK {
			texts = append(texts, text)
		} else if n.kind == or {
			return "", false, false
		}
	}
	if len(texts) == 0 {
		return "", false, false
	}
	if n.kind == and {
		return strings.Join(texts, " && "), exact, true
	}
	return "(" + strings.Join(texts, " || ") + ")", exact, true
}

// weak returns what a comparison of cpu says of an event with several victims: that one of
// them is a CPU for which it is true.
func (r renderer) weak(n *node) (text string, exact, ok bool) {
	mask, has := r.event.Fields[Mask]
	if !has {
		return "", false, false
	}
	set, about := project(n, Target, r.cpus)
	if !about || set.Len() == 0 || set.Len() == r.cpus {
		return "", false, false
	}
	return fmt.Sprintf("%s & CPUS{%s}", mask, set), false, true
}

// leaf writes a comparison. It is exact, or not possible.
func (r renderer) leaf(c *comparison) (text string, exact, ok bool) {
	field := c.field
	name, has := r.event.Fields[field]
	if field == Mask && !has && r.event.Single {
		name, has = r.event.Fields[Target]
		field = Target
	}
	if !has {
		return "", false, false
	}
	value := c.valueText()
	switch {
	case c.isSet():
	case c.field == Comm:
		if len(c.str) > kernelStringMax {
			return "", false, false
		}
		if c.op == Glob {
			value = quoted(kernelGlob(c.str))
		}
	case c.field == Cause || c.field == CallbackName:
		if c.op == Glob || r.event.Function == nil || !r.event.Function(c.str) {
			return "", false, false
		}
		// The kernel takes all up to the next white space for the name.
		name, value = name+".function", c.str+" "
	case c.isString():
		return "", false, false
	}
	return fmt.Sprintf("%s %s %s", name, c.op, value), true, true
}

// kernelGlob returns a pattern that the kernel hands to glob_match or takes for the same. As
// they are, it compares patterns that begin with a digit as plain text, and looks for the text behind
// a leading * at the end of the 16 bytes of comm, not of the name (filter_parse_regex and
// regex_match_end of kernel/trace/trace_events_filter.c). A \ leads around both.
func kernelGlob(pattern string) string {
	if pattern != "" && isDigit(pattern[0]) {
		return `\` + pattern
	}
	if len(pattern) > 1 && pattern[0] == '*' && !strings.ContainsAny(pattern[1:], `*?[\`) {
		return `*\` + pattern[1:]
	}
	return pattern
}

// project returns the CPUs that a field, Target or CPU, can have where the node is true, or
// more of them. about is false if the node says nothing of it.
func project(n *node, field Field, cpus int) (set ipi.CPUs, about bool) {
	switch n.kind {
	case and, or:
		for i, k := range n.kids {
			s, a := project(k, field, cpus)
			about = about || a
			switch {
			case i == 0:
				set = s
			case n.kind == and:
				set = set.And(s)
			default:
				for cpu := range s.All() {
					set = set.With(cpu)
				}
			}
		}
		return set, about
	}
	if !n.uses(field) {
		return ipi.Below(cpus), false
	}
	match := compile(n, cpus)
	for cpu := range cpus {
		if match(&Record{Target: cpu, CPU: cpu}) {
			set = set.With(cpu)
		}
	}
	return set, true
}
