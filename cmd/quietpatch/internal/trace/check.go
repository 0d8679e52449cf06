package trace

import (
	"encoding/json"
	"fmt"
	"io"
)

// Check is which means are here.
type Check struct {
	Usable   string         `json:"usable"` // the backend that is taken; "" if none works
	Backends []CheckBackend `json:"backends"`
	Hints    []string       `json:"hints"` // what the process lacks, and what can be done
}

// CheckBackend is one backend.
type CheckBackend struct {
	Name     string         `json:"name"`
	Works    bool           `json:"works"`
	Findings []CheckFinding `json:"findings"`
}

// CheckFinding is one thing that a backend uses.
type CheckFinding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // without it the backend does not work at all
	Why    string `json:"why"`
	Lost   string `json:"lost"` // what a report lacks without it
}

// NewCheck looks. It starts no event.
func NewCheck(name string) (*Check, error) {
	some, err := chosen(name)
	if err != nil {
		return nil, err
	}
	c := &Check{Backends: []CheckBackend{}, Hints: []string{}}
	for _, b := range some {
		cb := CheckBackend{Name: b.name, Works: true, Findings: []CheckFinding{}}
		for _, f := range b.check() {
			cb.Works = cb.Works && (f.OK || !f.Needed)
			cb.Findings = append(cb.Findings, CheckFinding(f))
		}
		if cb.Works && c.Usable == "" {
			c.Usable = b.name
		}
		c.Backends = append(c.Backends, cb)
	}
	if c.Usable == "" {
		c.Hints = append(c.Hints, hints()...)
	}
	return c, nil
}

// WriteText writes the check for people.
func (c *Check) WriteText(w io.Writer) error {
	for _, b := range c.Backends {
		state := "works"
		if !b.Works {
			state = "does not work"
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", b.Name, state); err != nil {
			return err
		}
		for _, f := range b.Findings {
			if err := f.write(w); err != nil {
				return err
			}
		}
	}
	for _, h := range c.Hints {
		if _, err := fmt.Fprintln(w, h); err != nil {
			return err
		}
	}
	var err error
	if c.Usable != "" {
		_, err = fmt.Fprintf(w, "A trace takes %s.\n", c.Usable)
	}
	return err
}

func (f *CheckFinding) write(w io.Writer) error {
	mark := "yes"
	switch {
	case f.OK:
	case f.Needed:
		mark = "NO"
	default:
		mark = "no"
	}
	text := fmt.Sprintf("  %-3s  %s", mark, f.Name)
	if f.Why != "" {
		text += ": " + f.Why
	}
	if !f.OK && f.Lost != "" {
		text += "\n       lost: " + f.Lost
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// WriteJSON writes one JSON object.
func (c *Check) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(c)
}
