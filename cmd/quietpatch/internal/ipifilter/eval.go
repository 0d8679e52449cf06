package ipifilter

import "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"

// Record is one IPI to one CPU, or one call queued for it. An IPI that goes to several
// CPUs is a record for each of them, with the same Mask.
//
// CPU, PID, TGID and Comm are those of the thread that ran when the IPI was sent, if the
// kernel is to evaluate comparisons with them ([Event]): that may be a kworker, or
// whoever was interrupted by a timer.
type Record struct {
	CPU    int      // that sent it
	Target int      // that is interrupted
	Mask   ipi.CPUs // all that are; nil: Target only

	PID, TGID int32
	Comm      string // of the thread
	Process   string // the name of the process

	Cause    string // function that is to run; "" if it is not known
	Func     uint64 // its address
	Handler  string // function that handles the IPI, the kernel's callback
	Callback uint64 // its address
	Kind     ipi.Kind
}

// Match reports whether the record passes the filter.
func (x *Expr) Match(r *Record) bool { return x == nil || x.match(r) }

// compile turns a node into closures, so that which fields and operators there are is
// settled once.
func compile(n *node, cpus int) func(*Record) bool {
	var kids []func(*Record) bool
	for _, k := range n.kids {
		kids = append(kids, compile(k, cpus))
	}
	switch n.kind {
	case not:
		return func(r *Record) bool { return !kids[0](r) }
	case and, or:
		stop := n.kind == or // the value that settles it
		return func(r *Record) bool {
			for _, k := range kids {
				if k(r) == stop {
					return stop
				}
			}
			return !stop
		}
	}
	return compileLeaf(&n.cmp, cpus)
}

func compileLeaf(c *comparison, cpus int) func(*Record) bool {
	switch {
	case c.isSet() && c.set.Len() == 1:
		return compileOne(c)
	case c.isSet():
		return compileSet(c, cpus)
	case c.isString():
		return compileString(c)
	}
	return compileNumber(c)
}

// compileOne compares with a set of one CPU, which needs no set: patches 5 to 8 of the
// series. In the kernel, parse_pred makes a number of it; a & with a number is then ==.
func compileOne(c *comparison) func(*Record) bool {
	op, cpu := c.op, c.set.First()
	if c.field == Mask {
		return func(r *Record) bool {
			if r.Mask == nil {
				return oneWithOne(op, r.Target, cpu)
			}
			return maskWithOne(op, r.Mask, cpu)
		}
	}
	if c.field == CPU {
		return func(r *Record) bool { return oneWithOne(op, r.CPU, cpu) }
	}
	return func(r *Record) bool { return oneWithOne(op, r.Target, cpu) }
}

// compileSet compares with a set of two CPUs or more.
func compileSet(c *comparison, cpus int) func(*Record) bool {
	op, set := c.op, c.set
	switch c.field {
	case Mask:
		return func(r *Record) bool {
			if r.Mask == nil {
				return oneWithSet(op, r.Target, set)
			}
			return maskWithSet(op, r.Mask, set)
		}
	case CPU:
		return func(r *Record) bool { return oneWithSet(op, r.CPU, set) }
	}
	// The kernel asks whether there is such a CPU for fields, not for CPU, which exists
	// (filter_pred_32_cpumask, filter_pred_cpu_cpumask).
	return func(r *Record) bool { return uint(r.Target) < uint(cpus) && oneWithSet(op, r.Target, set) }
}

// maskWithSet follows do_filter_cpumask of kernel/trace/trace_events_filter.c.
func maskWithSet(op Op, mask, set ipi.CPUs) bool {
	switch op {
	case EQ:
		return mask.Equal(set)
	case NE:
		return !mask.Equal(set)
	}
	return mask.Intersects(set)
}

// maskWithOne follows do_filter_cpumask_scalar of the same file.
func maskWithOne(op Op, mask ipi.CPUs, cpu int) bool {
	switch op {
	case EQ:
		return mask.Has(cpu) && mask.Len() == 1
	case NE:
		return !mask.Has(cpu) || mask.Len() != 1
	}
	return mask.Has(cpu)
}

// oneWithSet follows do_filter_scalar_cpumask: the set has two CPUs or more, which one CPU
// is never equal to.
func oneWithSet(op Op, cpu int, set ipi.CPUs) bool {
	switch op {
	case EQ:
		return false
	case NE:
		return true
	}
	return set.Has(cpu)
}

// oneWithOne follows parse_pred, where a single CPU makes == of &.
func oneWithOne(op Op, cpu, other int) bool {
	return (cpu == other) == (op != NE)
}

func compileNumber(c *comparison) func(*Record) bool {
	num := c.num
	if fieldTypes[c.field].wide {
		test := numberTest[uint64](c.op)
		if c.field == Func {
			return func(r *Record) bool { return test(r.Func, num) }
		}
		return func(r *Record) bool { return test(r.Callback, num) }
	}
	test := numberTest[int64](c.op)
	with := int64(num)
	switch c.field {
	case Target:
		return func(r *Record) bool { return test(int64(r.Target), with) }
	case CPU:
		return func(r *Record) bool { return test(int64(r.CPU), with) }
	case PID:
		return func(r *Record) bool { return test(int64(r.PID), with) }
	}
	return func(r *Record) bool { return test(int64(r.TGID), with) }
}

// numberTest follows DEFINE_COMPARISON_PRED and DEFINE_EQUALITY_PRED.
func numberTest[T int64 | uint64](op Op) func(v, with T) bool {
	switch op {
	case EQ:
		return func(v, with T) bool { return v == with }
	case NE:
		return func(v, with T) bool { return v != with }
	case LT:
		return func(v, with T) bool { return v < with }
	case LE:
		return func(v, with T) bool { return v <= with }
	case GT:
		return func(v, with T) bool { return v > with }
	case GE:
		return func(v, with T) bool { return v >= with }
	}
	return func(v, with T) bool { return v&with != 0 }
}

func compileString(c *comparison) func(*Record) bool {
	get := func(r *Record) string { return r.Comm }
	switch c.field {
	case Process:
		get = func(r *Record) string { return r.Process }
	case Cause:
		get = func(r *Record) string { return r.Cause }
	case CallbackName:
		get = func(r *Record) string { return r.Handler }
	case Kind:
		get = func(r *Record) string { return string(r.Kind) }
	}
	str := c.str
	switch c.op {
	case EQ:
		return func(r *Record) bool { return get(r) == str }
	case NE:
		return func(r *Record) bool { return get(r) != str }
	}
	return func(r *Record) bool { return GlobMatch(str, get(r)) }
}
