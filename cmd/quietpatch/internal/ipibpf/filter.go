package ipibpf

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// flushFunction is what a call of the kind tlb runs (arch/x86/mm/tlb.c).
const flushFunction = "flush_tlb_func"

// plan says who evaluates what of a filter.
type plan struct {
	sets    ipifilter.Sets
	program program         // by the kernel, for each event
	rows    *ipifilter.Expr // by the reader, for each row
	unknown []string        // names of causes that no function has now
}

// planFor divides a filter: CPUs and threads are sets; comparisons of numbers and names are for the
// kernel; patterns, and functions that the kernel does not have yet, are for the reader if
// they look only at what rows have.
func planFor(x *ipifilter.Expr, cpus int, s *kallsyms.Table) (*plan, error) {
	p := &plan{}
	var rest *ipifilter.Expr
	p.sets, rest = ipifilter.Lower(x, cpus)
	if s == nil && (x.Uses(ipifilter.Cause) || x.Uses(ipifilter.Kind)) {
		return nil, fmt.Errorf("filter: cause and kind cannot be compared: %w", kallsyms.ErrHidden)
	}
	c := compiler{symbols: s}
	inKernel := &tree{kind: ipifilter.AllOf}
	for _, m := range p.sets.Masks {
		inKernel.kids = append(inKernel.kids, c.mask(ipifilter.And, m))
	}
	var err error
	if p.program, err = c.compile(inKernel); err != nil {
		return nil, err
	}
	var rows []*ipifilter.Expr
	for _, part := range rest.Parts() {
		err := p.add(c, inKernel, part)
		if err == nil {
			continue
		}
		if part.Uses(ipifilter.CPU) || part.Uses(ipifilter.Mask) {
			return nil, fmt.Errorf("filter: %s: %w; rows do not have CPU and cpumask: compare those apart, joined by &&", part, err)
		}
		rows = append(rows, part)
	}
	p.rows = ipifilter.Join(rows...)
	if rest != nil {
		p.unknown = c.unknown(rest.Tree())
	}
	return p, nil
}

// unknown returns the names that causes are compared with and no function has.
func (c compiler) unknown(x *ipifilter.Tree) (names []string) {
	for _, k := range x.Kids {
		names = append(names, c.unknown(k)...)
	}
	isName := x.Kind == ipifilter.Leaf && x.Field == ipifilter.Cause && x.Op != ipifilter.Glob && x.Str != ""
	if isName && c.symbols.Named(x.Str) == nil {
		names = append(names, x.Str)
	}
	return names
}

// add makes the kernel evaluate a part of the filter, too, or changes nothing.
func (p *plan) add(c compiler, inKernel *tree, part *ipifilter.Expr) error {
	t, err := c.tree(part.Tree())
	if err != nil {
		return err
	}
	inKernel.kids = append(inKernel.kids, t)
	program, err := c.compile(inKernel)
	if err != nil {
		inKernel.kids = inKernel.kids[:len(inKernel.kids)-1]
		return err
	}
	p.program = program
	return nil
}

// tree is a filter of what the kernel's side can compare.
type tree struct {
	kind ipifilter.TreeKind
	kids []*tree
	step rawStep
	set  ipi.CPUs // of the leaf; not in the step yet
}

type compiler struct{ symbols *kallsyms.Table }

var (
	errPattern = errors.New("the kernel's side has no patterns")
	errUnknown = errors.New("the kernel has no such function now")
	errSize    = fmt.Errorf("more than %d comparisons, or than %d different sets of CPUs, in the kernel", stepsMax, setsMax)
)

func always(is bool) *tree {
	op := ipifilter.LT
	if is {
		op = ipifilter.GE
	}
	return number(fieldCPU, op, 0)
}

func number(field uint8, op ipifilter.Op, v uint64) *tree {
	return &tree{step: rawStep{Field: field, Op: uint8(op), Value: [2]uint64{v}}}
}

func (c compiler) mask(op ipifilter.Op, set ipi.CPUs) *tree {
	return &tree{step: rawStep{Field: fieldMask, Op: uint8(op), Value: [2]uint64{uint64(set.Len())}}, set: set}
}

func not(t *tree) *tree { return &tree{kind: ipifilter.NoneOf, kids: []*tree{t}} }

func anyOf(kids ...*tree) *tree {
	if len(kids) == 0 {
		return always(false)
	}
	return &tree{kind: ipifilter.AnyOf, kids: kids}
}

// tree says with the kernel's fields what a filter says.
func (c compiler) tree(x *ipifilter.Tree) (*tree, error) {
	if x.Kind == ipifilter.Leaf {
		return c.leaf(x)
	}
	t := &tree{kind: x.Kind}
	for _, k := range x.Kids {
		kid, err := c.tree(k)
		if err != nil {
			return nil, err
		}
		t.kids = append(t.kids, kid)
	}
	return t, nil
}

func (c compiler) leaf(x *ipifilter.Tree) (*tree, error) {
	switch x.Field {
	case ipifilter.Target:
		return c.cpu(x, fieldCPU, fieldCPUIn), nil
	case ipifilter.CPU:
		return c.cpu(x, fieldSender, fieldSenderIn), nil
	case ipifilter.Mask:
		return c.mask(x.Op, x.Set), nil
	case ipifilter.PID:
		return number(fieldTID, x.Op, x.Num), nil
	case ipifilter.TGID:
		return number(fieldTGID, x.Op, x.Num), nil
	case ipifilter.Func:
		return c.function(x.Op, x.Num), nil
	case ipifilter.Callback:
		return c.callback(x)
	case ipifilter.Kind:
		return inverted(x.Op, c.kind(ipi.Kind(x.Str))), nil
	}
	if x.Op == ipifilter.Glob {
		return nil, errPattern
	}
	switch x.Field {
	case ipifilter.Comm:
		return name(fieldThread, x), nil
	case ipifilter.Process:
		return name(fieldComm, x), nil
	case ipifilter.CallbackName:
		isHandler, isNone := x.Str == ipinames.CallHandler, x.Str == ""
		return inverted(x.Op, byKind(isHandler, isNone)), nil
	}
	t, err := c.cause(x.Str)
	return inverted(x.Op, t), err
}

func inverted(op ipifilter.Op, equal *tree) *tree {
	if op == ipifilter.NE {
		return not(equal)
	}
	return equal
}

// cpu compares one CPU: a set of one is a number, as for the kernel.
func (c compiler) cpu(x *ipifilter.Tree, scalar, in uint8) *tree {
	switch {
	case x.Set == nil:
		return number(scalar, x.Op, x.Num)
	case x.Set.Len() == 1 && x.Op == ipifilter.NE:
		return number(scalar, ipifilter.NE, uint64(x.Set.First()))
	case x.Set.Len() == 1:
		return number(scalar, ipifilter.EQ, uint64(x.Set.First()))
	case x.Op != ipifilter.And:
		return always(x.Op == ipifilter.NE)
	}
	return &tree{step: rawStep{Field: in}, set: x.Set}
}

// function compares an address. The kernel's side orders numbers with a sign; with the highest bits
// of both inverted that is the order of those without.
func (c compiler) function(op ipifilter.Op, v uint64) *tree {
	if ipifilter.LE <= op && op <= ipifilter.GT {
		v ^= 1 << 63
	}
	return number(fieldFunc, op, v)
}

// cause is a function by its name, as rows have it: at any address where there is one.
func (c compiler) cause(name string) (*tree, error) {
	if name == "" {
		return c.function(ipifilter.EQ, 0), nil
	}
	var kids []*tree
	for _, addr := range c.symbols.Named(name) {
		kids = append(kids, c.function(ipifilter.EQ, addr))
	}
	if kids == nil {
		return nil, fmt.Errorf("%w: %s", errUnknown, name)
	}
	return anyOf(kids...), nil
}

func (c compiler) kind(k ipi.Kind) *tree {
	var flushes []*tree
	for _, addr := range c.symbols.Named(flushFunction) {
		flushes = append(flushes, c.function(ipifilter.EQ, addr))
	}
	calls := number(fieldKind, ipifilter.EQ, uint64(kindCall))
	switch k {
	case ipi.Call:
		return &tree{kind: ipifilter.AllOf, kids: []*tree{calls, not(anyOf(flushes...))}}
	case ipi.TLB:
		return &tree{kind: ipifilter.AllOf, kids: []*tree{calls, anyOf(flushes...)}}
	case ipi.Resched:
		return number(fieldKind, ipifilter.EQ, uint64(kindResched))
	case ipi.IRQWork:
		return number(fieldKind, ipifilter.EQ, uint64(kindIRQWork))
	}
	return number(fieldKind, ipifilter.GT, uint64(kindIRQWork))
}

// byKind is true for calls and for all others as it is told.
func byKind(calls, others bool) *tree {
	if calls == others {
		return always(calls)
	}
	return inverted(map[bool]ipifilter.Op{true: ipifilter.EQ, false: ipifilter.NE}[calls], number(fieldKind, ipifilter.EQ, uint64(kindCall)))
}

// callback compares the handler's address, which is the same for all calls, and 0 for the rest.
func (c compiler) callback(x *ipifilter.Tree) (*tree, error) {
	handler := c.symbols.Named(ipinames.CallHandler)
	if len(handler) == 0 && x.Num != 0 {
		return nil, fmt.Errorf("the address of %s is not known", ipinames.CallHandler)
	}
	handler = append(handler, ^uint64(0)) // any that is not 0
	return byKind(compare(x.Op, handler[0], x.Num), compare(x.Op, 0, x.Num)), nil
}

func compare(op ipifilter.Op, a, b uint64) bool {
	switch op {
	case ipifilter.NE:
		return a != b
	case ipifilter.EQ:
		return a == b
	case ipifilter.LE:
		return a <= b
	case ipifilter.LT:
		return a < b
	case ipifilter.GE:
		return a >= b
	case ipifilter.GT:
		return a > b
	}
	return a&b != 0
}

// name compares 16 bytes with zeros behind the name. A longer one is nobody's.
func name(field uint8, x *ipifilter.Tree) *tree {
	if len(x.Str) >= nameSize {
		return always(x.Op == ipifilter.NE)
	}
	t := number(field, x.Op, 0)
	var b [nameSize]byte
	copy(b[:], x.Str)
	for i := range t.step.Value {
		for j := range 8 {
			t.step.Value[i] |= uint64(b[8*i+j]) << (8 * j)
		}
	}
	return t
}
