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

// WriteText writes the list for people: a heading per key and static call, a line per
// site; with indirect also a line per function with indirect calls. What stands in
// the file is shown, not obeyed: a name may hold a line break, or tell the terminal
// what to do.
func (l *List) WriteText(w io.Writer, indirect bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s%s\n", visible(l.Binary), orUnknown(visible(l.GoVersion)), l.flags())
	var keys, calls total
	for i := range l.Keys {
		l.Keys[i].write(&b, &keys)
	}
	if len(l.Keys) == 0 {
		b.WriteString("\nno static keys\n")
	}
	for i := range l.Calls {
		l.Calls[i].write(&b, &calls)
	}
	if indirect {
		l.Indirect.write(&b)
	}
	for _, n := range l.Notes {
		fmt.Fprintf(&b, "\nnote: %s", visible(n))
	}
	if len(l.Notes) > 0 {
		b.WriteString("\n")
	}
	if len(l.Keys)+len(l.Calls)+l.Indirect.Calls > 0 {
		b.WriteString("\n")
	}
	if len(l.Keys) > 0 {
		fmt.Fprintf(&b, "%d keys, %d sites, %d patchable\n", len(l.Keys), keys.sites, keys.patchable)
	}
	if len(l.Calls) > 0 {
		fmt.Fprintf(&b, "%d static calls, %d call sites, %d patchable\n", len(l.Calls), calls.sites, calls.patchable)
	}
	if in := &l.Indirect; in.Calls > 0 {
		fmt.Fprintf(&b, "%d indirect calls by way of retpolines, %d promotable\n", in.Calls, in.Promotable)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// total counts the sites of all keys, or of all static calls.
type total struct{ sites, patchable int }

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

func (k *Key) write(b *strings.Builder, n *total) {
	heading(b, k.Name, k.Desc)
	fmt.Fprintf(b, "\n  %s at %s", orDash(visible(k.Symbol)), k.Addr)
	if len(k.Sites) == 0 {
		b.WriteString(", no sites: read through a pointer, or not at all\n")
		return
	}
	b.WriteString("\n")
	t := columns(b)
	writeSites(t, k.Sites, "reads memory: ", n)
	_ = t.Flush() // a strings.Builder takes everything
}

// heading writes the name of a key or static call.
func heading(b *strings.Builder, name, desc string) {
	if name = visible(name); name == "" {
		name = "(not registered)"
	}
	fmt.Fprintf(b, "\n%s", name)
	if desc != "" {
		fmt.Fprintf(b, "  %s", visible(desc))
	}
}

func columns(b *strings.Builder) *tabwriter.Writer { return tabwriter.NewWriter(b, 0, 0, 2, ' ', 0) }

// writeSites writes a line per site; otherwise stands in front of why one cannot be patched.
func writeSites(t *tabwriter.Writer, sites []Site, otherwise string, n *total) {
	n.sites += len(sites)
	for _, s := range sites {
		verdict := "patchable"
		if s.Patchable {
			n.patchable++
		} else {
			verdict = visible(otherwise + s.Why)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", s.Addr, s.Form, verdict, cell(visible(s.Func)), place(s.File, s.Line))
	}
}

func place(file string, line int) string { return fmt.Sprintf("%s:%d", orDash(visible(file)), line) }

func (c *Call) write(b *strings.Builder, n *total) {
	heading(b, c.Name, c.Desc)
	fmt.Fprintf(b, "\n  %s at %s, %s", orDash(visible(c.Symbol)), c.Addr, cell(visible(c.Type)))
	switch {
	case len(c.Forwarders) == 0:
		b.WriteString(", no forwarder: calls load the variable\n")
	case len(c.Sites) == 0:
		b.WriteString(", no direct calls\n")
	default:
		b.WriteString("\n")
	}
	t := columns(b)
	for _, f := range c.Forwarders {
		fmt.Fprintf(t, "  %s\tforwarder\t\t%s\t%s\n", f.Addr, cell(visible(f.Func)), place(f.File, f.Line))
	}
	writeSites(t, c.Sites, "calls the forwarder: ", n)
	_ = t.Flush()
	for _, o := range c.Others {
		fmt.Fprintf(b, "  %s  %s  %s: %s\n", o.Addr, cell(visible(o.Func.Func)), place(o.File, o.Line), visible(o.Why))
	}
}

func (in *Indirect) write(b *strings.Builder) {
	if in.Calls == 0 {
		b.WriteString("\nno indirect calls by way of retpolines: the program was built without -gcflags=all=-spectre=ret\n")
		return
	}
	b.WriteString("\nindirect calls\n")
	t := columns(b)
	for _, f := range in.Functions {
		verdict := "promotable"
		if !f.Promotable {
			verdict = "left alone: " + f.Why
		}
		fmt.Fprintf(t, "  %d\t%s\t%s\n", f.Calls, visible(verdict), cell(visible(f.Func)))
	}
	_ = t.Flush()
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
