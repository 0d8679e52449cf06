package failpoint

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// SyntaxError says where terms, or a list of them, are wrong.
type SyntaxError struct {
	Text     string // all of it
	Pos      int    // in bytes, from 0
	Expected string
	Found    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("failpoint: %q at position %d: expected %s, found %s", e.Text, e.Pos, e.Expected, e.Found)
}

const foundMax = 24

func (p *parser) errorAt(pos int, expected string) error {
	found := "the end"
	if rest := p.text[pos:]; len(rest) > foundMax {
		found = strconv.Quote(rest[:foundMax]) + "..."
	} else if rest != "" {
		found = strconv.Quote(rest)
	}
	return &SyntaxError{Text: p.text, Pos: pos, Expected: expected, Found: found}
}

// parser reads text from left to right.
type parser struct {
	text string
	pos  int
}

// parseTerms parses the terms of one point.
func parseTerms(text string) (chain, error) {
	p := &parser{text: text}
	c, err := p.terms()
	if err == nil && p.pos < len(text) {
		err = p.errorAt(p.pos, `"->" or the end`)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// parseList parses name=terms;name=terms. Empty entries are skipped.
func parseList(text string) ([]setting, error) {
	p := &parser{text: text}
	var out []setting
	for {
		for p.accept(";") {
		}
		if p.pos == len(text) {
			return out, nil
		}
		name := p.take(nameByte)
		if name == "" {
			return nil, p.errorAt(p.pos, "a name of letters, digits, '.', '-', '_' and '/'")
		}
		if !p.accept("=") {
			return nil, p.errorAt(p.pos, `"=" after the name `+strconv.Quote(name))
		}
		start := p.pos
		c, err := p.terms()
		if err != nil {
			return nil, err
		}
		if p.pos < len(text) && text[p.pos] != ';' {
			return nil, p.errorAt(p.pos, `"->", ";" or the end`)
		}
		out = append(out, setting{name, text[start:p.pos], c})
	}
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c) || strings.IndexByte(".-_/", c) >= 0
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// take consumes the bytes of one kind.
func (p *parser) take(kind func(byte) bool) string {
	start := p.pos
	for p.pos < len(p.text) && kind(p.text[p.pos]) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *parser) accept(s string) bool {
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

func (p *parser) terms() (chain, error) {
	var c chain
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		c = append(c, t)
		if !p.accept("->") {
			return c, nil
		}
	}
}

func (p *parser) term() (t term, err error) {
	for p.pos < len(p.text) && digit(p.text[p.pos]) {
		m, err := p.modifier()
		if err != nil {
			return t, err
		}
		t.mods = append(t.mods, m)
	}
	start := p.pos
	t.act = action(p.take(letter))
	switch t.act {
	case actOff, actPause, actReturn, actPanic, actPrint, actSleep:
	case actBreak:
		return t, p.errorAt(start, "another action than break, which would start gdb (use pause, then attach a debugger)")
	default:
		return t, p.errorAt(start, "off, return, sleep, panic, print or pause")
	}
	open := p.pos
	if p.accept("(") && !p.accept(")") {
		if t.value, err = p.value(t.act); err != nil {
			return t, err
		}
		if !p.accept(")") {
			return t, p.errorAt(p.pos, `")"`)
		}
	}
	if t.act == actSleep && t.value == nil {
		return t, p.errorAt(open, "the time to sleep, as in sleep(100) or sleep(\"1s\")")
	}
	return t, nil
}

// modifier parses a probability or a count, at a digit.
func (p *parser) modifier() (m modifier, err error) {
	start := p.pos
	whole := p.take(digit)
	number := whole
	if p.accept(".") {
		p.take(digit)
		number = p.text[start:p.pos]
	}
	switch {
	case p.accept("%"):
		m.percent = number
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || f > 100 {
			return m, p.errorAt(start, "a probability from 0% to 100%")
		}
		m.chance = f / 100
	case p.accept("*"):
		m.isCount = true
		if m.count, err = strconv.Atoi(number); err != nil {
			return m, p.errorAt(start, "a count that is a whole number and no more than "+strconv.Itoa(math.MaxInt))
		}
		m.left = m.count
	default:
		return m, p.errorAt(p.pos, `"%" or "*" after the number `+number)
	}
	return m, nil
}

// value parses what stands between the parentheses.
func (p *parser) value(act action) (any, error) {
	start := p.pos
	switch act {
	case actOff, actPause:
		return nil, p.errorAt(start, `")": `+string(act)+" takes no value")
	case actSleep:
		return p.sleepTime()
	}
	c := p.text[start:]
	switch {
	case c == "":
	case c[0] == '"' || c[0] == '`':
		return p.quoted()
	case letter(c[0]):
		switch strings.ToLower(p.take(letter)) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	case digit(c[0]) || c[0] == '-':
		p.accept("-")
		p.take(digit)
		if i, err := strconv.Atoi(p.text[start:p.pos]); err == nil {
			return i, nil
		}
	}
	return nil, p.errorAt(start, "an int, a quoted string, true or false")
}

func (p *parser) quoted() (string, error) {
	q, err := strconv.QuotedPrefix(p.text[p.pos:])
	if err != nil {
		return "", p.errorAt(p.pos, "a string as in Go, with a quote at its end")
	}
	s, err := strconv.Unquote(q)
	if err != nil {
		return "", p.errorAt(p.pos, "a string as in Go")
	}
	p.pos += len(q)
	return s, nil
}

// sleepTime parses milliseconds, a duration in quotes, or (as in the documents
// of gofail) a bare one.
func (p *parser) sleepTime() (any, error) {
	start := p.pos
	d, err := time.Duration(0), error(nil)
	if rest := p.text[start:]; rest != "" && (rest[0] == '"' || rest[0] == '`') {
		s, bad := p.quoted()
		if bad != nil {
			return nil, bad
		}
		d, err = time.ParseDuration(s)
	} else {
		d, err = bareDuration(p.take(func(c byte) bool { return c != ')' && c != ';' }))
	}
	if err != nil || d < 0 {
		return nil, p.errorAt(start, "milliseconds or a duration, as in sleep(100) or sleep(\"1s\"), and not a negative one")
	}
	return d, nil
}

// bareDuration reads a number without a unit as milliseconds. One that is too
// large for that fails as a duration, for want of a unit.
func bareDuration(s string) (time.Duration, error) {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms > math.MaxInt64/int64(time.Millisecond) {
		return time.ParseDuration(s)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
