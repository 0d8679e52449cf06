package sitelist

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// WriteJSON writes the list as one JSON object.
func (l *List) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(l)
}

// WriteText writes the list for people: a heading per key, a line per site.
// What stands in the file is shown, not obeyed: a name may hold a line break, or
// tell the terminal what to do.
func (l *List) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s%s\n", visible(l.Binary), orUnknown(visible(l.GoVersion)), l.flags())
	sites, patchable := 0, 0
	for i := range l.Keys {
		k := &l.Keys[i]
		sites += len(k.Sites)
		patchable += k.write(&b)
	}
	if len(l.Keys) == 0 {
		b.WriteString("\nno static keys\n")
	}
	for _, n := range l.Notes {
		fmt.Fprintf(&b, "\nnote: %s", visible(n))
	}
	if len(l.Notes) > 0 {
		b.WriteString("\n")
	}
	if len(l.Keys) > 0 {
		fmt.Fprintf(&b, "\n%d keys, %d sites, %d patchable\n", len(l.Keys), sites, patchable)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orUnknown(version string) string {
	if version == "" {
		return "Go version unknown"
	}
	return version
}

func (l *List) flags() string {
	s := ""
	if l.PIE {
		s += ", position independent"
	}
	if l.Stripped {
		s += ", stripped"
	}
	return s
}

// write writes one key and returns how many of its sites are patchable.
func (k *Key) write(b *strings.Builder) (patchable int) {
	name := visible(k.Name)
	if name == "" {
		name = "(not registered)"
	}
	fmt.Fprintf(b, "\n%s", name)
	if k.Desc != "" {
		fmt.Fprintf(b, "  %s", visible(k.Desc))
	}
	fmt.Fprintf(b, "\n  %s at %s", orDash(visible(k.Symbol)), k.Addr)
	if len(k.Sites) == 0 {
		b.WriteString(", no sites: read through a pointer, or not at all\n")
		return 0
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, s := range k.Sites {
		verdict := "patchable"
		if s.Patchable {
			patchable++
		} else {
			verdict = "reads memory: " + s.Why
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s:%d\n", s.Addr, s.Form, verdict, cell(visible(s.Func)), orDash(visible(s.File)), s.Line)
	}
	_ = t.Flush() // a strings.Builder takes everything
	return patchable
}

// visible returns s with everything but printable characters escaped as in a Go string.
func visible(s string) string {
	plain := true
	for _, r := range s {
		plain = plain && r != utf8.RuneError && unicode.IsPrint(r)
	}
	if plain {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r != utf8.RuneError && unicode.IsPrint(r) {
			b.WriteString(s[:n])
		} else {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// maxCell is where a column ends: all of its cells get the width of the widest.
const maxCell = 256

func cell(s string) string {
	if len(s) <= maxCell {
		return s
	}
	return strings.ToValidUTF8(s[:maxCell], "") + "..."
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
