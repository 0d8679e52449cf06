package remedy

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
)

// Entry is a known cause.
type Entry struct {
	Name   string
	What   string // it is
	Stop   string // how
	Source string
	// Each is how many IPIs every CPU gets for one Event, such as 3 for a flip; 0 if that varies.
	Each  int
	Event string
	rules []rule
}

// Table is a list of entries.
type Table struct{ entries []Entry }

//go:embed remedies.txt
var builtinText string

// Builtin returns the table of this program.
var Builtin = sync.OnceValues(func() (*Table, error) { return Parse("remedies.txt", builtinText) })

// Lookup finds what the table of this program knows of a row.
func Lookup(k ipi.Key) (Entry, bool) {
	t, err := Builtin()
	if err != nil {
		return Entry{}, false // a test keeps the table whole
	}
	return t.Lookup(k)
}

// Entries returns all entries, in the order of the table.
func (t *Table) Entries() []Entry { return slices.Clone(t.entries) }

// Lookup returns the entry whose rule says most of a row: the one with more conditions, of
// rules with as many the one with the more telling conditions, then the one with fewer
// wildcards, then the one that stands first.
func (t *Table) Lookup(k ipi.Key) (Entry, bool) {
	var found Entry
	best := -1
	for _, e := range t.entries {
		for _, r := range e.rules {
			if s := r.score(); s > best && r.matches(&k) {
				found, best = e, s
			}
		}
	}
	return found, best >= 0
}

// Details returns the words that rules look for in [ipi.Origin.Detail], patterns among
// them: a backend that has a kernel stack adds the functions that are in it.
func (t *Table) Details() []string {
	var words []string
	for _, e := range t.entries {
		for _, r := range e.rules {
			for _, c := range r {
				if c.about == detail {
					words = append(words, c.patterns...)
				}
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// about is what a condition looks at; a later one is more telling.
type about uint8

const (
	kind about = iota
	path
	comm
	thread
	softirq
	syscall
	cause
	detail
	work
	aboutCount
)

var aboutNames = [aboutCount]string{"kind", "path", "comm", "thread", "softirq", "syscall", "cause", "detail", "work"}

// condition is true if one of the patterns matches one of the words.
type condition struct {
	about    about
	patterns []string
}

// rule is a list of conditions that must all be true, of different abouts.
type rule []condition

func (r rule) matches(k *ipi.Key) bool {
	for _, c := range r {
		if !c.matches(k) {
			return false
		}
	}
	return true
}

func (c *condition) matches(k *ipi.Key) bool {
	for _, w := range words(c.about, k) {
		for _, p := range c.patterns {
			if ipifilter.GlobMatch(p, w) {
				return true
			}
		}
	}
	return false
}

// words returns what a row says about something; nothing is no word.
func words(a about, k *ipi.Key) []string {
	first, second, _ := strings.Cut(k.Origin.Path, " ")
	word := ""
	switch a {
	case kind:
		word = string(k.Kind)
	case path:
		word = first
	case comm:
		word = k.Sender.Comm
	case thread:
		word = k.Sender.Thread
	case syscall:
		word = k.Origin.Syscall
	case cause:
		word = k.Cause
	case detail:
		return strings.Fields(k.Origin.Detail)
	case softirq:
		if first == "softirq" {
			word = second
		}
	case work:
		if first == "workqueue" {
			word = second
		}
	}
	if word == "" {
		return nil
	}
	return []string{word}
}

// score orders rules as Lookup says.
func (r rule) score() int {
	exact, telling := 0, 0
	for _, c := range r {
		telling |= 1 << c.about
		if !slices.ContainsFunc(c.patterns, wild) {
			exact++
		}
	}
	return (len(r)<<aboutCount|telling)<<4 | exact
}

func wild(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }
