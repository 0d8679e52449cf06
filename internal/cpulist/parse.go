package cpulist

import (
	"fmt"
	"strings"
)

// Max is one more than the highest CPU number that Linux can have on x86
// (arch/x86/Kconfig, NR_CPUS_RANGE_END).
const Max = 8192

// LenMax is the longest list in bytes. No set needs more: its ranges take less.
const LenMax = 32 << 10

// Parse reads a list of CPUs in the kernel's form (Documentation/admin-guide/kernel-parameters.rst,
// "cpu lists"; lib/bitmap-str.c, bitmap_parselist), in which numbers go from 0 to n-1:
//
//	3            one CPU
//	0-3,8        a range and one CPU
//	0-15:2/4     of each group of 4 the first 2: 0,1,4,5,8,9,12,13
//	all          all CPUs up to the last of the machine; all:1/2 is every second one
//	2-N          N is the last of the machine
//
// The last CPU is asked for once at most, and only if the list names it. Commas and white space
// separate. What it accepts, a kernel with these CPUs takes for the same set. It refuses what
// the kernel lets pass and nobody means: groups of no CPU, and text right behind the
// size of a group.
//
// The numbers are sorted, without duplicates. An empty list has none. n is taken for
// 1 if it is less, and for [Max] if it is more. An error is an *[Error].
func Parse(list string, n int, last func() (int, error)) ([]int, error) {
	p := newParser(list, n)
	p.last = last
	return p.parse()
}

// ParseSome is [Parse] for a machine with the CPUs 0 to n-1. A list of no CPU is an error.
func ParseSome(list string, n int) ([]int, error) {
	p := newParser(list, n)
	p.highest = p.n - 1
	cpus, err := p.parse()
	if err == nil && len(cpus) == 0 {
		return nil, p.expected(len(list), p.cpuNumber)
	}
	return cpus, err
}

type parser struct {
	list      string
	pos       int
	n         int
	cpuNumber string // what is expected in place of one
	highest   int    // the last CPU of the machine, or -1 if it has to be asked for
	last      func() (int, error)
}

// region is a range, of each group of which the first used ones count.
type region struct{ lo, hi, used, group int }

func newParser(list string, n int) *parser {
	p := &parser{list: list, n: min(max(n, 1), Max), highest: -1}
	p.cpuNumber = fmt.Sprintf("a CPU number from 0 to %d", p.n-1)
	if p.n == 1 {
		p.cpuNumber = "CPU 0, the only one"
	}
	return p
}

func (p *parser) parse() ([]int, error) {
	if len(p.list) > LenMax {
		return nil, p.expected(LenMax, fmt.Sprintf("at most %d bytes", LenMax))
	}
	in := make([]bool, p.n)
	for p.skip(); p.pos < len(p.list); p.skip() {
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
	var cpus []int
	for cpu, is := range in {
		if is {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// separates reports whether a character stands between regions.
func separates(b byte) bool { return strings.IndexByte(", \t\n\v\f\r", b) >= 0 }

func (p *parser) skip() {
	for p.pos < len(p.list) && separates(p.list[p.pos]) {
		p.pos++
	}
}

func (p *parser) ended() bool { return p.pos == len(p.list) || separates(p.list[p.pos]) }

// next reports whether a character comes next.
func (p *parser) next(b byte) bool { return p.pos < len(p.list) && p.list[p.pos] == b }

// take passes over a character if it comes next.
func (p *parser) take(b byte) bool {
	if !p.next(b) {
		return false
	}
	p.pos++
	return true
}

func (p *parser) region() (region, error) {
	r := region{used: 1, group: 1}
	var err error
	if all := "all"; len(p.list)-p.pos >= len(all) && strings.EqualFold(p.list[p.pos:p.pos+len(all)], all) {
		r.hi, err = p.theLast(len(all))
	} else {
		err = p.numbers(&r)
	}
	if err != nil || p.ended() {
		return r, err
	}
	if !p.take(':') {
		return r, p.expected(p.pos, `a comma, the end, or groups such as ":2/4"`)
	}
	err = p.groups(&r)
	return r, err
}

// numbers reads a number or a range. Only behind a range it leaves something of the region.
func (p *parser) numbers(r *region) error {
	var err error
	if r.lo, err = p.number(p.n-1, p.cpuNumber); err != nil {
		return err
	}
	r.hi = r.lo
	if p.ended() {
		return nil
	}
	if !p.take('-') {
		return p.expected(p.pos, `"-", a comma or the end`)
	}
	at := p.pos
	if r.hi, err = p.number(p.n-1, p.cpuNumber); err != nil {
		return err
	}
	if r.hi < r.lo {
		return p.expected(at, fmt.Sprintf("the end of the range to be at least %d", r.lo))
	}
	return nil
}

// groups reads what follows the colon.
func (p *parser) groups(r *region) error {
	const most = 1 << 20 // more than any range has, and sums stay far from the end of an int
	used := "how many CPUs of each group are meant, at least 1"
	at := p.pos
	var err error
	if r.used, err = p.number(most, used); err != nil {
		return err
	}
	if r.used == 0 {
		return p.expected(at, used)
	}
	if !p.take('/') {
		return p.expected(p.pos, `"/" and the size of the groups`)
	}
	group := fmt.Sprintf("the size of the groups, at least %d", r.used)
	at = p.pos
	if r.group, err = p.number(most, group); err != nil {
		return err
	}
	if r.group < r.used {
		return p.expected(at, group)
	}
	if !p.ended() {
		return p.expected(p.pos, "a comma or the end")
	}
	return nil
}

// number reads a number up to most, or N.
func (p *parser) number(most int, what string) (int, error) {
	if p.next('N') {
		return p.theLast(len("N"))
	}
	at, v := p.pos, 0
	for p.pos < len(p.list) && '0' <= p.list[p.pos] && p.list[p.pos] <= '9' {
		if v = v*10 + int(p.list[p.pos]-'0'); v > most {
			return 0, p.expected(at, what)
		}
		p.pos++
	}
	if p.pos == at {
		return 0, p.expected(at, what)
	}
	return v, nil
}

// theLast passes over a word that stands for the last CPU of the machine, and returns that.
func (p *parser) theLast(word int) (int, error) {
	if p.highest < 0 {
		last, err := p.last()
		if err != nil {
			e := p.expected(p.pos, fmt.Sprintf("numbers, as the last CPU of this machine is not known (%v)", err))
			e.Err = err
			return 0, e
		}
		if last < 0 || last >= p.n {
			return 0, p.expected(p.pos, fmt.Sprintf("numbers, as the last CPU of this machine is %d, not from 0 to %d", last, p.n-1))
		}
		p.highest = last
	}
	p.pos += word
	return p.highest, nil
}
