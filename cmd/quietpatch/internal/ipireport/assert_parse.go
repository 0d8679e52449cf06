package ipireport

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// AssertError says what is wrong with an assertion, and where.
type AssertError struct {
	Expr     string
	Pos      int // byte of Expr; its length if something is missing at the end
	Expected string
	Found    string
}

// Error returns two or three lines as those of filters: what was expected and found, the expression,
// and a caret under the character.
func (e *AssertError) Error() string {
	f := ipifilter.Error(*e)
	return f.In("assertion")
}

// ParseAssertion reads an assertion about a machine whose CPUs are 0 to cpus-1. An error is an
// *[AssertError].
func ParseAssertion(expr string, cpus int) (*Assertion, error) {
	p := assertParser{expr: expr, cpus: min(max(cpus, 1), ipi.CPUsMax)}
	a := &Assertion{}
	for {
		p.skip()
		at := p.pos
		var t term
		if err := p.term(&t); err != nil {
			return nil, err
		}
		t.text = strings.TrimRight(expr[at:p.pos], assertWhite)
		a.terms = append(a.terms, t)
		if p.pos == len(expr) {
			return a, nil
		}
		if !p.take("&&") {
			return nil, p.expected(p.pos, "&& or the end")
		}
	}
}

// assertParser reads an expression. Between its methods, pos is behind white space.
type assertParser struct {
	expr string
	pos  int
	cpus int
}

const assertWhite = " \t\n\v\f\r"

func (p *assertParser) rest() string { return p.expr[p.pos:] }

func (p *assertParser) skip() { p.pos = len(p.expr) - len(strings.TrimLeft(p.rest(), assertWhite)) }

func (p *assertParser) take(token string) bool {
	if !strings.HasPrefix(p.rest(), token) {
		return false
	}
	p.pos += len(token)
	p.skip()
	return true
}

// run passes over the characters of a class, and returns them.
func (p *assertParser) run(class func(byte) bool) string {
	at := p.pos
	for p.pos < len(p.expr) && class(p.expr[p.pos]) {
		p.pos++
	}
	return p.expr[at:p.pos]
}

func isLetter(b byte) bool { return b == '_' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' }

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func (p *assertParser) expected(at int, what string) error {
	ends := func(b byte) bool { return strings.IndexByte(assertWhite+"(),", b) >= 0 }
	return &AssertError{Expr: p.expr, Pos: at, Expected: what, Found: ipi.Quote(p.expr[at:], ends)}
}

func (p *assertParser) term(t *term) error {
	at := p.pos
	i := slices.Index(quantityNames[:], p.run(isLetter))
	if i < 0 {
		return p.expected(at, "a quantity: "+alternatives(quantityNames[:]))
	}
	t.quantity = quantity(i)
	p.skip()
	operators := []string{"<=", ">=", "==", "!=", "<", ">"}
	want := "an operator: " + alternatives(operators)
	if t.quantity.ofRows() {
		if err := p.conditions(t); err != nil {
			return err
		}
		if t.where == nil {
			want += `, or conditions such as "(cpu=2)"`
		}
	}
	for _, op := range operators {
		if p.take(op) {
			t.op = op
			return p.value(t)
		}
	}
	return p.expected(p.pos, want)
}

func (p *assertParser) conditions(t *term) error {
	open := p.pos
	if !p.take("(") {
		return nil
	}
	for {
		c, err := p.condition()
		if err != nil {
			return err
		}
		for _, other := range t.where {
			if other.field == c.field {
				return p.expected(open, fmt.Sprintf("one condition on %s for each quantity; | stands between alternatives", c.field))
			}
		}
		t.where = append(t.where, c)
		if p.take(")") {
			return nil
		}
		if !p.take(",") {
			return p.expected(p.pos, fmt.Sprintf("a comma or the ) of the ( at character %d", open+1))
		}
	}
}

func (p *assertParser) condition() (condition, error) {
	at := p.pos
	c := condition{field: p.run(isLetter)}
	names := []string{"cpu", "pid"}
	for _, w := range conditionWords {
		names = append(names, w.name)
	}
	if !slices.Contains(names, c.field) {
		return c, p.expected(at, "a field of rows: "+alternatives(names))
	}
	p.skip()
	if !p.take("=") {
		return c, p.expected(p.pos, "= behind "+c.field)
	}
	at = p.pos
	var err error
	switch c.field {
	case "cpu":
		c.cpus, err = p.cpuList()
	case "pid":
		if c.pid, err = strconv.Atoi(p.run(isDigit)); err != nil {
			err = p.expected(at, "the number of a process")
		}
	default:
		c.patterns, err = p.patterns(c.field)
	}
	p.skip()
	return c, err
}

// cpuList reads a list; a comma belongs to it if a number follows.
func (p *assertParser) cpuList() (ipi.CPUs, error) {
	at := p.pos
	for p.pos < len(p.expr) && !strings.ContainsRune(assertWhite+"()", rune(p.expr[p.pos])) {
		if p.expr[p.pos] == ',' && (p.pos+1 == len(p.expr) || !isDigit(p.expr[p.pos+1])) {
			break
		}
		p.pos++
	}
	list := p.expr[at:p.pos]
	cpus, err := ipi.ParseCPUs(list, p.cpus)
	if err == nil {
		return cpus, nil
	}
	e, ok := err.(*ipi.ListError)
	if !ok {
		return nil, err
	}
	if e.At == len(list) {
		return nil, p.expected(p.pos, e.Expected)
	}
	return nil, &AssertError{Expr: p.expr, Pos: at + e.At, Expected: e.Expected, Found: e.Found}
}

// patterns reads alternatives, in quotes or up to a comma, a parenthesis or white space.
func (p *assertParser) patterns(field string) ([]string, error) {
	at := p.pos
	text := ""
	if p.pos < len(p.expr) && (p.expr[p.pos] == '"' || p.expr[p.pos] == '\'') {
		q := p.expr[p.pos]
		p.pos++
		text = p.run(func(b byte) bool { return b != q })
		if p.pos == len(p.expr) {
			return nil, p.expected(p.pos, fmt.Sprintf("the %c that ends the pattern at character %d", q, at+1))
		}
		p.pos++
		at++
	} else {
		text = p.run(func(b byte) bool { return strings.IndexByte(assertWhite+"(),", b) < 0 })
		if text == "" {
			return nil, p.expected(at, "a pattern such as chrony*")
		}
	}
	list := strings.Split(text, "|")
	for _, s := range list {
		if want := impossible(field, s); want != "" {
			return nil, p.expected(at, want)
		}
		at += len(s) + len("|")
	}
	return list, nil
}

// impossible says what would do instead of a pattern that no row can meet, or returns "". Of a
// remedy no name is one that some rows have.
func impossible(field, pattern string) string {
	var names []string
	switch {
	case field == "kind":
		for _, k := range ipi.Kinds() {
			if k != ipi.Other {
				names = append(names, string(k))
			}
		}
	case field == "remedy" && pattern != "":
		for _, e := range entries(func(*remedy.Entry) bool { return true }) {
			names = append(names, e.Name)
		}
	default:
		return ""
	}
	if slices.ContainsFunc(names, func(s string) bool { return ipifilter.GlobMatch(pattern, s) }) {
		return ""
	}
	if field == "kind" {
		return alternatives(names) + " (nothing is counted as other)"
	}
	return "the name of a known remedy, such as " + alternatives(alike(pattern, names))
}

// alike returns a few of the names that begin most like s.
func alike(s string, names []string) []string {
	const few = 4
	common := func(name string) int {
		n := 0
		for n < len(s) && n < len(name) && s[n] == name[n] {
			n++
		}
		return n
	}
	list := slices.Clone(names)
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(common(b), common(a)) })
	return list[:min(few, len(list))]
}

// units of a cost in nanoseconds, and of a rate in seconds.
var (
	costUnits = []unit{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}
	rateUnits = []unit{{"s", 1}, {"min", 60}, {"h", 3600}}
)

type unit struct {
	name string
	size float64
}

func (p *assertParser) value(t *term) error {
	at := p.pos
	digits := p.run(func(b byte) bool { return isDigit(b) || b == '.' })
	var err error
	switch t.quantity {
	case rateOf:
		if t.value, err = parseDecimal(digits); err != nil {
			return p.expected(at, "a number such as 1 or 0.5")
		}
		p.skip()
		if !p.take("/") {
			return p.expected(p.pos, "/s, /min or /h behind the number of a rate")
		}
		size, err := p.unit(rateUnits)
		t.value /= size
		return err
	case costOf:
		if t.value, err = parseDecimal(digits); err != nil {
			return p.expected(at, "a time such as 250us")
		}
		p.skip()
		size, err := p.unit(costUnits)
		t.value *= size
		return err
	}
	if t.whole, err = strconv.ParseUint(digits, 10, 64); err != nil {
		return p.expected(at, "a whole number that fits into 64 bits")
	}
	p.skip()
	if t.quantity == ipisOf && strings.HasPrefix(p.rest(), "/") {
		return p.expected(p.pos, "&& or the end; it is rate that is per time")
	}
	return nil
}

// parseDecimal takes digits with or without a point: no signs, no exponents.
func parseDecimal(digits string) (float64, error) {
	v, err := strconv.ParseFloat(digits, 64)
	if err == nil && math.IsInf(v, 0) {
		err = strconv.ErrRange
	}
	return v, err
}

func (p *assertParser) unit(units []unit) (float64, error) {
	at := p.pos
	name := p.run(isLetter)
	var names []string
	for _, u := range units {
		if u.name == name {
			p.skip()
			return u.size, nil
		}
		names = append(names, u.name)
	}
	return 1, p.expected(at, "a unit: "+alternatives(names))
}

// alternatives joins words with commas and an or.
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
