package ipifilter

import "math"

// Field is what a comparison looks at.
type Field uint8

// The fields, in the order of the package comment.
const (
	Target Field = iota
	Mask
	CPU
	PID
	TGID
	Comm
	Process
	Cause
	Func
	CallbackName
	Callback
	Kind
	fieldCount
)

// Op is an operator of a comparison.
type Op uint8

// The operators; those that begin with another stand before it.
const (
	NE Op = iota
	EQ
	LE
	LT
	GE
	GT
	And // a bit or a CPU in common
	Glob
	opCount
)

var opNames = [opCount]string{"!=", "==", "<=", "<", ">=", ">", "&", "~"}

func (o Op) String() string { return opNames[o] }

// negated returns the operator that is true where this one is not, on numbers and
// strings. Sets have none: == and != are both false for a CPU that does not exist.
func (o Op) negated() (Op, bool) {
	switch o {
	case EQ:
		return NE, true
	case NE:
		return EQ, true
	case LT:
		return GE, true
	case GE:
		return LT, true
	case GT:
		return LE, true
	case LE:
		return GT, true
	}
	return o, false
}

// ops is a set of operators.
type ops uint16

func opsOf(list ...Op) ops {
	var s ops
	for _, o := range list {
		s |= 1 << o
	}
	return s
}

func (s ops) has(o Op) bool { return s>>o&1 == 1 }

func (s ops) String() string {
	text := ""
	for o := range opCount {
		if s.has(o) {
			if text != "" {
				text += ", "
			}
			text += o.String()
		}
	}
	return text
}

// fieldType says how a field is compared: which operators it has with which kinds of
// values, and which numbers it can hold.
type fieldType struct {
	name     string
	numbers  ops
	sets     ops
	strings  ops
	bare     bool // strings may stand without quotes
	min, max int64
	wide     bool // 64 bits without a sign
}

var (
	equality   = opsOf(EQ, NE)
	order      = opsOf(EQ, NE, LT, LE, GT, GE)
	arithmetic = order | opsOf(And)
	sets       = equality | opsOf(And)
	globs      = equality | opsOf(Glob)
)

// fieldTypes follows the kernel's fields: u32 cpu of ipi_send_cpu and csd_queue_cpu, int CPU and
// common_pid, pointers func and callback (include/trace/events/ipi.h and csd.h;
// kernel/trace/trace_events.c, trace_define_generic_fields).
var fieldTypes = [fieldCount]fieldType{
	Target:       {name: "cpu", numbers: arithmetic, sets: sets, max: math.MaxUint32},
	Mask:         {name: "cpumask", sets: sets},
	CPU:          {name: "CPU", numbers: order, sets: sets, min: math.MinInt32, max: math.MaxInt32},
	PID:          {name: "pid", numbers: arithmetic, min: math.MinInt32, max: math.MaxInt32},
	TGID:         {name: "tgid", numbers: arithmetic, min: math.MinInt32, max: math.MaxInt32},
	Comm:         {name: "comm", strings: globs},
	Process:      {name: "process", strings: globs},
	Cause:        {name: "cause", strings: globs, bare: true},
	Func:         {name: "func", numbers: arithmetic, wide: true},
	CallbackName: {name: "callback.function", strings: equality, bare: true},
	Callback:     {name: "callback", numbers: arithmetic, wide: true},
	Kind:         {name: "kind", strings: equality, bare: true},
}

// aliases are other spellings, most of them the kernel's.
var aliases = map[string]Field{
	"common_cpu": CPU, "common_pid": PID, "COMM": Comm, "func.function": Cause,
}

func (f Field) String() string { return fieldTypes[f].name }

func lookupField(name string) (Field, bool) {
	for f, t := range fieldTypes {
		if t.name == name {
			return Field(f), true
		}
	}
	f, ok := aliases[name]
	return f, ok
}

// fieldNames lists what may stand for a field.
func fieldNames() string {
	text := ""
	for f := range fieldCount {
		if f == fieldCount-1 {
			text += " or "
		} else if f > 0 {
			text += ", "
		}
		text += f.String()
	}
	return text
}
