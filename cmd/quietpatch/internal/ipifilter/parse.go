package ipifilter

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// nestingMax bounds parentheses, and with them the stack that is needed.
const nestingMax = 100

// Parse reads a filter for a machine whose CPUs are 0 to cpus-1, the possible ones
// (/sys/devices/system/cpu/possible). An error is an *[Error].
func Parse(expr string, cpus int) (*Expr, error) {
	p := parser{expr: expr, cpus: min(max(cpus, 1), ipi.CPUsMax)}
	root, err := p.or()
	if err == nil && p.pos < len(expr) {
		err = p.expected(p.pos, "&&, || or the end")
	}
	if err != nil {
		return nil, err
	}
	return newExpr(root, p.cpus), nil
}

// parser reads an expression. Between its methods, pos is behind white space.
type parser struct {
	expr    string
	pos     int
	cpus    int
	nesting int
}

// white is what C calls space.
const white = " \t\n\v\f\r"

func isWhite(b byte) bool { return strings.IndexByte(white, b) >= 0 }

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isWord(b byte) bool {
	return b == '_' || isDigit(b) || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isSymbol is for names of functions: compilers add suffixes such as .isra.0.
func isSymbol(b byte) bool { return isWord(b) || b == '.' || b == '$' }

func (p *parser) rest() string { return p.expr[p.pos:] }

func (p *parser) skip() { p.pos = len(p.expr) - len(strings.TrimLeft(p.rest(), white)) }

// take passes over a token and the white space behind it.
func (p *parser) take(token string) bool {
	if !strings.HasPrefix(p.rest(), token) {
		return false
	}
	p.pos += len(token)
	p.skip()
	return true
}

// run passes over the characters of a class, and returns them.
func (p *parser) run(class func(byte) bool) string {
	at := p.pos
	for p.pos < len(p.expr) && class(p.expr[p.pos]) {
		p.pos++
	}
	return p.expr[at:p.pos]
}

func (p *parser) expected(at int, what string) error {
	found := ipi.Quote(p.expr[at:], func(b byte) bool { return isWhite(b) || strings.IndexByte("(){}", b) >= 0 })
	return &Error{Expr: p.expr, Pos: at, Expected: what, Found: found}
}

func (p *parser) or() (*node, error) { return p.list(or, "||", p.and) }

func (p *parser) and() (*node, error) { return p.list(and, "&&", p.unary) }

func (p *parser) list(kind nodeKind, token string, next func() (*node, error)) (*node, error) {
	var kids []*node
	for {
		n, err := next()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		if !p.take(token) {
			return join(kind, kids...), nil
		}
	}
}

func (p *parser) unary() (*node, error) {
	p.skip()
	inverted := false
	for p.take("!") {
		inverted = !inverted
	}
	n, err := p.primary()
	if err == nil && inverted {
		n = negate(n)
	}
	return n, err
}

func (p *parser) primary() (*node, error) {
	at := p.pos
	if !p.take("(") {
		return p.comparison()
	}
	if p.nesting++; p.nesting > nestingMax {
		return nil, p.expected(at, fmt.Sprintf("at most %d parentheses in each other", nestingMax))
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.expected(p.pos, fmt.Sprintf("&&, || or the ) of the ( at character %d", at+1))
	}
	p.nesting--
	return n, nil
}

func (p *parser) comparison() (*node, error) {
	n := &node{}
	c := &n.cmp
	at := p.pos
	name := p.run(func(b byte) bool { return isWord(b) || b == '.' })
	var ok bool
	if c.field, ok = lookupField(name); !ok {
		return nil, p.expected(at, "a field: "+fieldNames())
	}
	p.skip()
	if err := p.operator(c); err != nil {
		return nil, err
	}
	if err := p.value(c); err != nil {
		return nil, err
	}
	p.skip()
	return n, nil
}

// operator reads one that the field has with some value.
func (p *parser) operator(c *comparison) error {
	t := fieldTypes[c.field]
	all := t.numbers | t.sets | t.strings
	for c.op = range opCount {
		// a && b: the field a lacks its operator.
		if strings.HasPrefix(p.rest(), c.op.String()) && !strings.HasPrefix(p.rest(), "&&") && all.has(c.op) {
			p.take(c.op.String())
			return nil
		}
	}
	return p.expected(p.pos, fmt.Sprintf("an operator of %s: %s", c.field, all))
}

func (p *parser) value(c *comparison) error {
	t := fieldTypes[c.field]
	switch {
	case t.strings != 0:
		return p.stringValue(c)
	case strings.HasPrefix(p.rest(), "CPUS") && t.sets.has(c.op):
		return p.setValue(c)
	case t.numbers.has(c.op) && p.pos < len(p.expr) && (isDigit(p.expr[p.pos]) || p.expr[p.pos] == '-'):
		return p.numberValue(c)
	}
	var want []string
	if t.numbers.has(c.op) {
		want = append(want, "a number")
	}
	if t.sets.has(c.op) {
		want = append(want, "CPUS{list}")
	}
	return p.expected(p.pos, fmt.Sprintf("%s behind %s %s", strings.Join(want, " or "), c.field, c.op))
}

func (p *parser) setValue(c *comparison) error {
	p.pos += len("CPUS")
	if p.pos == len(p.expr) || p.expr[p.pos] != '{' {
		return p.expected(p.pos, "{ right behind CPUS")
	}
	p.pos++
	list := p.run(func(b byte) bool { return b != '}' })
	at := p.pos - len(list)
	if p.pos == len(p.expr) {
		return p.expected(p.pos, fmt.Sprintf("the } of the { at character %d", at))
	}
	set, err := ipi.ParseCPUs(list, p.cpus)
	if err != nil {
		e, ok := err.(*ipi.ListError)
		if !ok {
			return err
		}
		found := e.Found
		if e.At == len(list) {
			found = `"}"`
		}
		return &Error{Expr: p.expr, Pos: at + e.At, Expected: e.Expected, Found: found}
	}
	p.pos++
	c.set = set
	return nil
}

func (p *parser) numberValue(c *comparison) error {
	t := fieldTypes[c.field]
	at := p.pos
	negative := p.expr[at] == '-'
	if negative {
		p.pos++
	}
	digits := p.run(isWord)
	v, err := parseNumber(digits)
	if err != nil {
		return p.expected(at, "a number, such as 12 or 0xc, that fits into 64 bits")
	}
	if t.wide {
		if negative {
			return p.expected(at, fmt.Sprintf("a number from 0: %s has no sign", c.field))
		}
		c.num = v
		return nil
	}
	signed := int64(min(v, math.MaxInt64))
	if negative {
		signed = -signed
	}
	if signed < t.min || signed > t.max {
		return p.expected(at, fmt.Sprintf("a number from %d to %d, as %s can hold", t.min, t.max, c.field))
	}
	c.num = uint64(signed)
	return nil
}

// parseNumber reads digits as lib/kstrtox.c does in base 0: 0x and 0 are the only prefixes.
func parseNumber(digits string) (uint64, error) {
	base := 10
	if len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") {
		base, digits = 16, digits[2:]
	} else if len(digits) > 1 && digits[0] == '0' {
		base = 8
	}
	return strconv.ParseUint(digits, base, 64)
}

func (p *parser) stringValue(c *comparison) error {
	t := fieldTypes[c.field]
	at := p.pos
	if p.pos < len(p.expr) && (p.expr[p.pos] == '"' || p.expr[p.pos] == '\'') {
		q := p.expr[p.pos]
		p.pos++
		c.str = p.run(func(b byte) bool { return b != q && b >= ' ' && b != 0x7f })
		if p.pos == len(p.expr) || p.expr[p.pos] != q {
			return p.expected(p.pos, fmt.Sprintf("a printable character or the %c that ends the string at character %d", q, at+1))
		}
		at++
		p.pos++
	} else {
		if t.bare && c.op != Glob {
			c.str = p.run(isSymbol)
		}
		if c.str == "" {
			return p.expected(at, t.wants(c.op))
		}
	}
	if c.op == Glob && strings.HasPrefix(c.str, "!") {
		return p.expected(at, `a pattern without ! in front: write !(... ~ "..."), or \!`)
	}
	if c.field == Kind && !knownKind(c.str) {
		return p.expected(at, "one of "+kindNames())
	}
	return nil
}

// wants says what value a field of strings takes.
func (t fieldType) wants(op Op) string {
	if t.bare && op != Glob {
		return "a name"
	}
	return `a string in quotes, such as "chronyd"`
}

func knownKind(s string) bool {
	for _, k := range ipi.Kinds() {
		if string(k) == s {
			return true
		}
	}
	return false
}

func kindNames() string {
	var names []string
	for _, k := range ipi.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
