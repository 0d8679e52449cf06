package remedy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Error says what is wrong with a table, and where.
type Error struct {
	File     string
	Line     int
	Expected string
	Found    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d: expected %s, found %s", e.File, e.Line, e.Expected, e.Found)
}

// Parse reads a table; its format is described at the head of remedies.txt. An error is an
// *[Error].
func Parse(file, text string) (*Table, error) {
	p := parser{file: file, seen: map[string]int{}}
	for line := range strings.Lines(text) {
		p.line++
		if err := p.read(strings.TrimRight(line, " \t\r\n")); err != nil {
			return nil, err
		}
	}
	p.line++
	if err := p.finish(); err != nil {
		return nil, err
	}
	return &p.table, nil
}

type parser struct {
	file  string
	line  int
	table Table
	entry *Entry
	text  *string        // that the next line continues; nil behind a rule
	seen  map[string]int // lines of names and rules
}

func (p *parser) expected(what, found string) error {
	return &Error{p.file, p.line, what, found}
}

func (p *parser) read(line string) error {
	body := strings.TrimLeft(line, " \t")
	switch {
	case body == "" || body[0] == '#':
		return nil
	case len(body) == len(line):
		return p.name(line)
	case p.entry == nil:
		return p.expected("the name of an entry at the beginning of a line", quote(line))
	}
	key, rest, ok := strings.Cut(body, ":")
	rest = strings.TrimSpace(rest)
	if ok {
		switch key {
		case "match":
			p.text = nil
			return p.rule(rest)
		case "what":
			return p.start(key, &p.entry.What, rest)
		case "stop":
			return p.start(key, &p.entry.Stop, rest)
		case "source":
			return p.start(key, &p.entry.Source, rest)
		case "each":
			p.text = nil
			return p.each(rest)
		}
	}
	if p.text == nil {
		return p.expected("match:, each:, what:, stop: or source:", quote(body))
	}
	*p.text += " " + body
	return nil
}

func (p *parser) name(line string) error {
	if err := p.finish(); err != nil {
		return err
	}
	if strings.Trim(line, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return p.expected("a name of small letters, digits and -, on a line of its own", quote(line))
	}
	if at, ok := p.seen[line]; ok {
		return p.expected("a name that is new", fmt.Sprintf("%q, as in line %d", line, at))
	}
	p.seen[line] = p.line
	p.entry, p.text = &Entry{Name: line}, nil
	return nil
}

func (p *parser) start(key string, text *string, rest string) error {
	if *text != "" {
		return p.expected("one "+key+": in an entry", "a second one")
	}
	if rest == "" {
		return p.expected("text behind "+key+":", "nothing")
	}
	*text, p.text = rest, text
	return nil
}

// each reads such as "3 per flip".
func (p *parser) each(rest string) error {
	words := strings.Fields(rest)
	if len(words) == 3 && words[1] == "per" {
		if n, err := strconv.Atoi(words[0]); err == nil && n > 0 && p.entry.Each == 0 {
			p.entry.Each, p.entry.Event = n, words[2]
			return nil
		}
	}
	return p.expected("one each: in an entry, such as 3 per flip", quote(rest))
}

// finish adds the entry that was read.
func (p *parser) finish() error {
	e := p.entry
	if e == nil {
		return nil
	}
	for _, part := range []struct {
		name    string
		missing bool
	}{{"match", len(e.rules) == 0}, {"what", e.What == ""}, {"stop", e.Stop == ""}, {"source", e.Source == ""}} {
		if part.missing {
			return p.expected(fmt.Sprintf("a %s: in the entry %s of line %d", part.name, e.Name, p.seen[e.Name]), "its end")
		}
	}
	p.table.entries = append(p.table.entries, *e)
	p.entry = nil
	return nil
}

func (p *parser) rule(text string) error {
	var r rule
	for _, word := range strings.Fields(text) {
		name, value, ok := strings.Cut(word, "=")
		i := slices.Index(aboutNames[:], name)
		if !ok || i < 0 {
			return p.expected("conditions such as cause=do_sync_core, with one of "+strings.Join(aboutNames[:], ", "), quote(word))
		}
		a := about(i)
		if slices.ContainsFunc(r, func(c condition) bool { return c.about == a }) {
			return p.expected("one condition with "+name+", and | between alternatives", "a second one, "+quote(word))
		}
		patterns := strings.Split(value, "|")
		if slices.Contains(patterns, "") {
			return p.expected("a value on each side of = and |", quote(word))
		}
		if a == kind && slices.ContainsFunc(patterns, isNoKind) {
			return p.expected("a kind, one of "+fmt.Sprint(counted()), quote(word))
		}
		r = append(r, condition{a, patterns})
	}
	if len(r) == 0 {
		return p.expected("conditions behind match:", "nothing")
	}
	slices.SortFunc(r, func(a, b condition) int { return int(a.about) - int(b.about) })
	same := fmt.Sprint("match ", r)
	if at, ok := p.seen[same]; ok {
		return p.expected("a rule that is new", fmt.Sprintf("the one of line %d", at))
	}
	p.seen[same] = p.line
	p.entry.rules = append(p.entry.rules, r)
	return nil
}

// counted returns the kinds that rows have; no backend counts [ipi.Other].
func counted() []ipi.Kind {
	return slices.DeleteFunc(ipi.Kinds(), func(k ipi.Kind) bool { return k == ipi.Other })
}

func isNoKind(s string) bool { return !slices.Contains(counted(), ipi.Kind(s)) }

func quote(s string) string {
	const shown = 60
	if len(s) > shown {
		return fmt.Sprintf("%q...", s[:shown])
	}
	return fmt.Sprintf("%q", s)
}
