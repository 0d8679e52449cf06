package ipi

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CPUsMax is one more than the highest CPU number that Linux can have on x86
// (arch/x86/Kconfig, NR_CPUS_RANGE_END).
const CPUsMax = 8192

// ListError says what is wrong with a list of CPUs, and where.
type ListError struct {
	At       int // byte of the list; its length if something is missing at the end
	Expected string
	Found    string
}

func (e *ListError) Error() string {
	return fmt.Sprintf("CPU list, character %d: expected %s, found %s", e.At+1, e.Expected, e.Found)
}

// ParseCPUs reads a list of CPUs in the kernel's form (Documentation/admin-guide/kernel-parameters.rst,
// "cpu lists"; lib/bitmap-str.c, bitmap_parselist) for a machine with CPUs 0 to n-1:
//
//	3            one CPU
//	0-3,8        a range and one CPU
//	0-15:2/4     of each group of 4 the first 2: 0,1,4,5,8,9,12,13
//	all          all CPUs; all:1/2 is every second one
//	2-N          N is the last of them
//
// Commas and white space separate. Everything that it accepts, the kernel takes for the
// same set. It refuses what the kernel lets pass and nobody means: lists and
// groups of no CPU, and text right behind the size of a group. An error is a *[ListError].
func ParseCPUs(list string, n int) (CPUs, error) {
	p := listParser{list: list, n: min(max(n, 1), CPUsMax)}
	var c CPUs
	for p.skip(); p.pos < len(list); p.skip() {
		r, err := p.region()
		if err != nil {
			return nil, err
		}
		for ; r.lo <= r.hi; r.lo += r.group {
			for cpu := r.lo; cpu <= min(r.hi, r.lo+r.used-1); cpu++ {
				c = c.With(cpu)
			}
		}
	}
	if c == nil {
		return nil, p.expected(len(list), p.cpuNumber())
	}
	return c, nil
}

type listParser struct {
	list string
	pos  int
	n    int
}

// region is a range, of each group of which the first used ones count.
type region struct{ lo, hi, used, group int }

func separates(b byte) bool { return strings.IndexByte(", \t\n\v\f\r", b) >= 0 }

func (p *listParser) skip() {
	for p.pos < len(p.list) && separates(p.list[p.pos]) {
		p.pos++
	}
}

func (p *listParser) ended() bool { return p.pos == len(p.list) || separates(p.list[p.pos]) }

func (p *listParser) take(b byte) bool {
	if p.pos < len(p.list) && p.list[p.pos] == b {
		p.pos++
		return true
	}
	return false
}

func (p *listParser) cpuNumber() string {
	if p.n == 1 {
		return "CPU 0, the only one"
	}
	return fmt.Sprintf("a CPU number from 0 to %d", p.n-1)
}

func (p *listParser) region() (region, error) {
	r := region{hi: p.n - 1, used: 1, group: 1}
	var err error
	if all := "all"; len(p.list)-p.pos >= len(all) && strings.EqualFold(p.list[p.pos:p.pos+len(all)], all) {
		p.pos += len(all)
	} else {
		if r.lo, err = p.cpu(); err != nil {
			return r, err
		}
		r.hi = r.lo
		if p.ended() {
			return r, nil
		}
		if !p.take('-') {
			return r, p.expected(p.pos, `"-", a comma or the end`)
		}
		at := p.pos
		if r.hi, err = p.cpu(); err != nil {
			return r, err
		}
		if r.hi < r.lo {
			return r, p.expected(at, fmt.Sprintf("the end of the range to be at least %d", r.lo))
		}
	}
	if p.ended() {
		return r, nil
	}
	if !p.take(':') {
		return r, p.expected(p.pos, `a comma, the end, or groups such as ":2/4"`)
	}
	err = p.groups(&r)
	return r, err
}

// groups reads what follows the colon.
func (p *listParser) groups(r *region) error {
	const most = 1 << 20
	at, ok := p.pos, false
	if r.used, ok = p.number(most); !ok || r.used == 0 {
		return p.expected(at, "how many CPUs of each group are meant, at least 1")
	}
	if !p.take('/') {
		return p.expected(p.pos, `"/" and the size of the groups`)
	}
	at = p.pos
	if r.group, ok = p.number(most); !ok || r.group < r.used {
		return p.expected(at, fmt.Sprintf("the size of the groups, at least %d", r.used))
	}
	if !p.ended() {
		return p.expected(p.pos, "a comma or the end")
	}
	return nil
}

func (p *listParser) cpu() (int, error) {
	at := p.pos
	cpu, ok := p.number(p.n - 1)
	if !ok {
		return 0, p.expected(at, p.cpuNumber())
	}
	return cpu, nil
}

// number reads a number up to most, or N. It does not go past the digits that are too many.
func (p *listParser) number(most int) (int, bool) {
	if p.take('N') {
		return p.n - 1, true
	}
	at, v := p.pos, 0
	for p.pos < len(p.list) && '0' <= p.list[p.pos] && p.list[p.pos] <= '9' {
		v = v*10 + int(p.list[p.pos]-'0')
		if v > most {
			return 0, false
		}
		p.pos++
	}
	return v, p.pos > at
}

// expected returns an error that points at a character and shows the word that begins there.
func (p *listParser) expected(at int, what string) error {
	return &ListError{At: at, Expected: what, Found: Quote(p.list[at:], separates)}
}

// Quote shows the first word of what was found in place of something expected, or "the end".
func Quote(rest string, ends func(byte) bool) string {
	const shown = 24
	if rest == "" {
		return "the end"
	}
	n := 0
	for n < len(rest) && !ends(rest[n]) {
		n++
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(rest)
	}
	if n > shown {
		return fmt.Sprintf("%q...", rest[:shown])
	}
	return fmt.Sprintf("%q", rest[:n])
}
