package reserve

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// listMax is the longest list in bytes. The longest that String makes has less than half.
const listMax = 32 << 10

// Parse reads a list of CPUs in the kernel's form (Documentation/admin-guide/kernel-parameters.rst,
// "cpu lists"; lib/bitmap-str.c, bitmap_parselist):
//
//	3            one CPU
//	0-3,8        a range and one CPU
//	0-15:2/4     of each group of 4 the first 2: 0,1,4,5,8,9,12,13
//	all          all CPUs that the machine may have; all:1/2 is every second one
//	2-N          N is the last of them
//
// Commas and white space separate. An empty list is an empty set. Unlike the
// kernel's, groups of which none is used are an error.
func Parse(list string) (CPUs, error) {
	return parse(list, func() (int, error) {
		possible, err := system{}.possible()
		if err != nil {
			return 0, err
		}
		return possible[len(possible)-1], nil
	})
}

// parser reads a list; last returns the highest CPU number of the machine.
type parser struct {
	list string
	pos  int
	last func() (int, error)
}

// region is a range, of each group of which the first used ones count.
type region struct{ lo, hi, used, group int }

func parse(list string, last func() (int, error)) (CPUs, error) {
	if len(list) > listMax {
		return nil, fmt.Errorf("CPU list of %d bytes: expected at most %d", len(list), listMax)
	}
	p := parser{list: list, last: last}
	var in [cpusMax]bool
	for p.skip(); p.pos < len(list); p.skip() {
		r, err := p.region()
		if err != nil {
			return nil, err
		}
		for ; r.lo <= r.hi; r.lo += r.group {
			for cpu := r.lo; cpu <= min(r.hi, r.lo+r.used-1); cpu++ {
				in[cpu] = true
			}
		}
	}
	var c CPUs
	for cpu, is := range in {
		if is {
			c = append(c, cpu)
		}
	}
	return c, nil
}

// separates reports whether a character stands between regions.
func separates(b byte) bool { return b == ',' || strings.IndexByte(" \t\n\v\f\r", b) >= 0 }

func (p *parser) skip() {
	for p.pos < len(p.list) && separates(p.list[p.pos]) {
		p.pos++
	}
}

// take passes over a character if it comes next.
func (p *parser) take(b byte) bool {
	if p.pos < len(p.list) && p.list[p.pos] == b {
		p.pos++
		return true
	}
	return false
}

func (p *parser) ended() bool { return p.pos == len(p.list) || separates(p.list[p.pos]) }

func (p *parser) region() (region, error) {
	r := region{used: 1, group: 1}
	var err error
	if all := "all"; len(p.list)-p.pos >= len(all) && strings.EqualFold(p.list[p.pos:p.pos+len(all)], all) {
		if r.hi, err = p.highest(); err != nil {
			return r, err
		}
		p.pos += len(all)
	} else {
		if r.lo, err = p.number("a CPU number, N or all"); err != nil {
			return r, err
		}
		r.hi = r.lo
		if p.ended() {
			return r, nil
		}
		if !p.take('-') {
			return r, p.expected(p.pos, "-, a comma or the end after a CPU number")
		}
		at := p.pos
		if r.hi, err = p.number("the last CPU number of the range"); err != nil {
			return r, err
		}
		if r.hi < r.lo {
			return r, p.expected(at, fmt.Sprintf("the last CPU number of the range to be at least %d", r.lo))
		}
	}
	if p.ended() {
		return r, nil
	}
	if !p.take(':') {
		return r, p.expected(p.pos, "a comma, the end, or a colon and groups such as :2/4")
	}
	return r, p.groups(&r)
}

// groups reads what follows the colon.
func (p *parser) groups(r *region) error {
	at := p.pos
	var err error
	if r.used, err = p.number("how many CPUs of each group to use"); err != nil {
		return err
	}
	if r.used == 0 {
		return p.expected(at, "at least 1 CPU of each group to use")
	}
	if !p.take('/') {
		return p.expected(p.pos, "a slash and the size of the groups, as in :2/4")
	}
	at = p.pos
	if r.group, err = p.number("the size of the groups"); err != nil {
		return err
	}
	if r.group < r.used {
		return p.expected(at, fmt.Sprintf("groups of at least %d", r.used))
	}
	if !p.ended() {
		return p.expected(p.pos, "a comma or the end")
	}
	return nil
}

// number reads a number or N.
func (p *parser) number(what string) (int, error) {
	at := p.pos
	if p.pos < len(p.list) && p.list[p.pos] == 'N' {
		n, err := p.highest()
		p.pos++
		return n, err
	}
	n := 0
	for p.pos < len(p.list) && '0' <= p.list[p.pos] && p.list[p.pos] <= '9' {
		n = min(n*10+int(p.list[p.pos]-'0'), cpusMax)
		p.pos++
	}
	if p.pos == at {
		return 0, p.expected(at, what)
	}
	if n >= cpusMax {
		return 0, p.expected(at, fmt.Sprintf("%s, at most %d", what, cpusMax-1))
	}
	return n, nil
}

// highest returns the last CPU of the machine.
func (p *parser) highest() (int, error) {
	n, err := p.last()
	if err == nil {
		err = checkNumber(n)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: which CPU is the last of this machine is not known: %w", p.place(p.pos), err)
	}
	return n, nil
}

// expected returns an error that points at a character.
func (p *parser) expected(at int, what string) error {
	const shown = 16
	found := "the end"
	if at < len(p.list) {
		rest := p.list[at:]
		if end := strings.IndexFunc(rest, func(r rune) bool { return r < utf8.RuneSelf && separates(byte(r)) }); end >= 0 {
			rest = rest[:max(end, 1)]
		}
		if len(rest) > shown {
			rest = rest[:shown] + "..."
		}
		found = fmt.Sprintf("%q", rest)
	}
	return fmt.Errorf("%s: expected %s, found %s", p.place(at), what, found)
}

// place names a character of the list, counted from 1, and shows what is around it if the list
// is long. All before it was understood, hence ASCII.
func (p *parser) place(at int) string {
	const shown = 60
	list := p.list
	if len(list) > shown {
		list = "..." + list[max(0, at-shown):min(len(list), at+shown/2)] + "..."
	}
	return fmt.Sprintf("CPU list %q, character %d", list, at+1)
}
