package ipifilter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The model evaluates a filter string as the kernel does, oddities included: it is what
// Split is checked against. Written from reading kernel/trace/trace_events_filter.c of
// Linux 6.12 (parse_pred, filter_parse_regex, filter_pred_*); TestKernel compares it with a
// running one.

// kernelEvent is one event: its own fields, and where it happened.
type kernelEvent struct {
	fields  map[string]kernelField
	cpu     int // raw_smp_processor_id
	pid     int32
	comm    string
	cpus    int // nr_cpu_ids
	symbols []kernelSymbol
}

type kernelField struct {
	size   int // in bytes
	signed bool
	value  uint64
	mask   []int // of a cpumask; nil for others
}

type kernelSymbol struct {
	name       string
	start, end uint64
}

type kernelParser struct {
	s  string
	ev *kernelEvent
}

// kernelEval returns what the kernel answers, or its error.
func kernelEval(filter string, ev *kernelEvent) (bool, error) {
	p := &kernelParser{filter, ev}
	v, err := p.or()
	if err == nil && p.trim() != "" {
		err = fmt.Errorf("left over: %q", p.s)
	}
	return v, err
}

func (p *kernelParser) trim() string {
	p.s = strings.TrimLeft(p.s, " \t\n")
	return p.s
}

func (p *kernelParser) or() (bool, error) {
	v, err := p.and()
	for err == nil && strings.HasPrefix(p.trim(), "||") {
		p.s = p.s[2:]
		var w bool
		w, err = p.and()
		v = v || w
	}
	return v, err
}

func (p *kernelParser) and() (bool, error) {
	v, err := p.not()
	for err == nil && strings.HasPrefix(p.trim(), "&&") {
		p.s = p.s[2:]
		var w bool
		w, err = p.not()
		v = v && w
	}
	return v, err
}

func (p *kernelParser) not() (bool, error) {
	switch s := p.trim(); {
	case strings.HasPrefix(s, "!"):
		p.s = s[1:]
		v, err := p.not()
		return !v, err
	case strings.HasPrefix(s, "("):
		p.s = s[1:]
		v, err := p.or()
		if err == nil && !strings.HasPrefix(p.trim(), ")") {
			return false, fmt.Errorf("no ) at %q", p.s)
		}
		p.s = strings.TrimPrefix(p.s, ")")
		return v, err
	}
	return p.predicate()
}

func (p *kernelParser) word(more string) string {
	n := 0
	for n < len(p.s) && (isWord(p.s[n]) || strings.IndexByte(more, p.s[n]) >= 0) {
		n++
	}
	w := p.s[:n]
	p.s = p.s[n:]
	return w
}

func (p *kernelParser) predicate() (bool, error) {
	name := p.word("")
	function := strings.HasPrefix(p.s, ".function")
	p.s = strings.TrimPrefix(p.s, ".function")
	op := ""
	for _, o := range []string{"~", "!=", "==", "<=", "<", ">=", ">", "&"} {
		if strings.HasPrefix(p.trim(), o) {
			op = o
			break
		}
	}
	p.s = p.s[len(op):]
	p.trim()
	// An event's own fields hide the ones that all have.
	field, own := p.ev.fields[name]
	switch {
	case op == "" || name == "":
		return false, fmt.Errorf("no comparison at %q", p.s)
	case function:
		return p.function(field, op)
	case own:
		return p.field(field, op)
	case name == "CPU" || name == "cpu" || name == "common_cpu":
		return p.currentCPU(op)
	case name == "comm" || name == "COMM":
		return p.comm(op)
	case name == "common_pid":
		return p.number(kernelField{size: 4, signed: true, value: uint64(int64(p.ev.pid))}, op)
	}
	return false, fmt.Errorf("no field %q", name)
}

func (p *kernelParser) function(f kernelField, op string) (bool, error) {
	end := strings.IndexAny(p.s, " \t\n")
	if end < 0 {
		end = len(p.s)
	}
	name := p.s[:end]
	p.s = p.s[end:]
	for _, sym := range p.ev.symbols {
		if sym.name == name { // the first one it is
			return (f.value >= sym.start && f.value < sym.end) == (op == "=="), nil
		}
	}
	return false, fmt.Errorf("no function %q", name)
}

func (p *kernelParser) set() (set []int, err error) {
	list, rest, ok := strings.Cut(strings.TrimPrefix(p.s, "CPUS{"), "}")
	if !ok || list == "" {
		return nil, fmt.Errorf("no list in %q", p.s)
	}
	p.s = rest
	for _, r := range strings.Split(list, ",") {
		first, last, ok := strings.Cut(r, "-")
		if !ok {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || a > b || b >= p.ev.cpus {
			return nil, fmt.Errorf("list %q", list)
		}
		for ; a <= b; a++ {
			set = append(set, a)
		}
	}
	return set, nil
}

func (p *kernelParser) field(f kernelField, op string) (bool, error) {
	if !strings.HasPrefix(p.s, "CPUS") {
		return p.number(f, op)
	}
	set, err := p.set()
	switch {
	case err != nil:
		return false, err
	case f.mask != nil:
		switch op {
		case "==":
			return slices.Equal(f.mask, set), nil
		case "!=":
			return !slices.Equal(f.mask, set), nil
		}
		return slices.ContainsFunc(f.mask, func(c int) bool { return slices.Contains(set, c) }), nil
	case len(set) == 1:
		return (f.value == uint64(set[0])) == (op != "!="), nil
	case f.value >= uint64(p.ev.cpus):
		return false, nil
	}
	return op == "!=" || op == "&" && slices.Contains(set, int(f.value)), nil
}

func (p *kernelParser) currentCPU(op string) (bool, error) {
	if !strings.HasPrefix(p.s, "CPUS") {
		if op == "&" {
			p.word("-")
			return false, nil
		}
		return p.number(kernelField{size: 4, signed: true, value: uint64(p.ev.cpu)}, op)
	}
	set, err := p.set()
	if len(set) == 1 {
		return (p.ev.cpu == set[0]) == (op != "!="), err
	}
	return op == "!=" || op == "&" && slices.Contains(set, p.ev.cpu), err
}

// number cuts the user's number to the size of the field.
func (p *kernelParser) number(f kernelField, op string) (bool, error) {
	digits := p.word("-")
	v, err := strconv.ParseInt(digits, 0, 64)
	with := uint64(v)
	if err != nil || !f.signed {
		with, err = strconv.ParseUint(digits, 0, 64)
	}
	if err != nil {
		return false, err
	}
	less, equal := f.value < with, f.value == with
	switch {
	case f.size == 4 && f.signed:
		less, equal = int32(f.value) < int32(with), int32(f.value) == int32(with)
	case f.size == 4:
		less, equal = uint32(f.value) < uint32(with), uint32(f.value) == uint32(with)
	}
	switch op {
	case "==":
		return equal, nil
	case "!=":
		return !equal, nil
	case "<":
		return less, nil
	case "<=":
		return less || equal, nil
	case ">":
		return !less && !equal, nil
	case ">=":
		return !less, nil
	}
	return f.value&with != 0, nil
}

const commLen = 16

func (p *kernelParser) comm(op string) (bool, error) {
	if p.s == "" || p.s[0] != '"' && p.s[0] != '\'' {
		return false, fmt.Errorf("no quotes at %q", p.s)
	}
	pattern, rest, ok := strings.Cut(p.s[1:], p.s[:1])
	if !ok {
		return false, fmt.Errorf("no end of %q", p.s)
	}
	p.s = rest
	var buffer [commLen]byte
	copy(buffer[:commLen-1], p.ev.comm)
	full := len(pattern) < commLen && string(buffer[:len(pattern)+1]) == pattern+"\x00"
	if op != "~" {
		return full == (op == "=="), nil
	}
	inverted := strings.HasPrefix(pattern, "!")
	v := kernelRegex(strings.TrimPrefix(pattern, "!"), full && !inverted, p.ev.comm, buffer[:])
	return v != inverted, nil
}

// kernelRegex picks one of the kernel's five ways to match.
func kernelRegex(pattern string, full bool, comm string, buffer []byte) bool {
	star := strings.Index(pattern[min(1, len(pattern)):], "*") + 1
	switch front := strings.HasPrefix(pattern, "*"); {
	case pattern != "" && isDigit(pattern[0]):
		return full
	case strings.ContainsAny(pattern, `[?\`), star > 0 && star < len(pattern)-1:
		return slowGlob(pattern, comm)
	case front && star > 0:
		return strings.Contains(string(buffer), pattern[1:len(pattern)-1])
	case front:
		return strings.HasSuffix(string(buffer[:commLen-1]), pattern[1:])
	case star > 0:
		return strings.HasPrefix(string(buffer), pattern[:len(pattern)-1])
	}
	return full
}
