package ipifilter

import (
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Expr is a filter. A nil *Expr lets everything pass.
type Expr struct {
	root  *node
	match func(*Record) bool
	cpus  int // how many CPUs the machine may have: the kernel's nr_cpu_ids
}

func newExpr(root *node, cpus int) *Expr {
	return &Expr{root: root, cpus: cpus, match: compile(root, cpus)}
}

type nodeKind uint8

const (
	leaf nodeKind = iota
	and
	or
	not
)

// node is a comparison (leaf) or joins other nodes: not has one, and and or have at
// least two, of which none is of the same kind, so that every filter has one form.
type node struct {
	kind nodeKind
	kids []*node
	cmp  comparison
}

// comparison is a field, an operator, and the value that the field's type wants.
type comparison struct {
	field Field
	op    Op
	set   ipi.CPUs // CPUS{...}; never empty if it is what counts
	num   uint64   // with a sign for fields that have one
	str   string
}

func (c *comparison) isSet() bool { return c.set != nil }

func (c *comparison) isString() bool { return fieldTypes[c.field].strings != 0 }

// join makes a node of at least one, and merges kids of the same kind.
func join(kind nodeKind, kids ...*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	n := &node{kind: kind}
	for _, k := range kids {
		if k.kind == kind {
			n.kids = append(n.kids, k.kids...)
		} else {
			n.kids = append(n.kids, k)
		}
	}
	return n
}

// negate makes the opposite, without two ! in a row.
func negate(n *node) *node {
	if n.kind == not {
		return n.kids[0]
	}
	return &node{kind: not, kids: []*node{n}}
}

// String returns the filter in its own language; [Parse] makes the same filter of it.
func (x *Expr) String() string {
	if x == nil {
		return ""
	}
	var b strings.Builder
	x.root.write(&b, leafText)
	return b.String()
}

// Uses reports whether the filter looks at the field.
func (x *Expr) Uses(f Field) bool { return x != nil && x.root.uses(f) }

func (n *node) uses(f Field) bool {
	for _, k := range n.kids {
		if k.uses(f) {
			return true
		}
	}
	return n.kind == leaf && n.cmp.field == f
}

// write prints a node with the text that leaves have.
func (n *node) write(b *strings.Builder, text func(*comparison) string) {
	switch n.kind {
	case leaf:
		b.WriteString(text(&n.cmp))
	case not:
		b.WriteByte('!')
		n.kids[0].writeIn(b, text, true)
	case and, or:
		for i, k := range n.kids {
			if i > 0 && n.kind == and {
				b.WriteString(" && ")
			} else if i > 0 {
				b.WriteString(" || ")
			}
			k.writeIn(b, text, n.kind == and && k.kind == or)
		}
	}
}

func (n *node) writeIn(b *strings.Builder, text func(*comparison) string, parens bool) {
	if parens {
		b.WriteByte('(')
	}
	n.write(b, text)
	if parens {
		b.WriteByte(')')
	}
}

func leafText(c *comparison) string {
	return fmt.Sprintf("%s %s %s", c.field, c.op, c.valueText())
}

func (c *comparison) valueText() string {
	switch t := fieldTypes[c.field]; {
	case c.isSet():
		return "CPUS{" + c.set.String() + "}"
	case c.isString():
		return quoted(c.str)
	case t.wide:
		return fmt.Sprintf("0x%x", c.num)
	default:
		return fmt.Sprint(int64(c.num))
	}
}

// quoted puts a string between the quotes that it does not hold. Parsed ones hold one kind
// at most, as neither we nor the kernel know escapes.
func quoted(s string) string {
	if strings.Contains(s, `"`) {
		return "'" + s + "'"
	}
	return `"` + s + `"`
}
