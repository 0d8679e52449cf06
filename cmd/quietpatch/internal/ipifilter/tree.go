package ipifilter

import "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"

// TreeKind says what a node of a [Tree] is.
type TreeKind uint8

// The kinds of nodes.
const (
	Leaf   TreeKind = iota // a comparison
	AllOf                  // all kids are true
	AnyOf                  // one of them is, at least
	NoneOf                 // its only kid is not true
)

// Tree is a filter for those who compile it for another machine.
type Tree struct {
	Kind TreeKind
	Kids []*Tree

	// What a leaf compares: a field with a set, or else, as the field has it, with a string
	// or a number (sign-extended).
	Field Field
	Op    Op
	Set   ipi.CPUs
	Num   uint64
	Str   string
}

// Tree returns the filter as a tree; nil if everything passes.
func (x *Expr) Tree() *Tree {
	if x == nil {
		return nil
	}
	return x.root.tree()
}

func (n *node) tree() *Tree {
	t := &Tree{Kind: map[nodeKind]TreeKind{leaf: Leaf, and: AllOf, or: AnyOf, not: NoneOf}[n.kind]}
	if n.kind == leaf {
		t.Field, t.Op, t.Set, t.Num, t.Str = n.cmp.field, n.cmp.op, n.cmp.set, n.cmp.num, n.cmp.str
	}
	for _, k := range n.kids {
		t.Kids = append(t.Kids, k.tree())
	}
	return t
}

// Parts returns filters that all must let a record pass for this one to.
func (x *Expr) Parts() []*Expr {
	if x == nil {
		return nil
	}
	var list []*Expr
	for _, n := range parts(x.root) {
		list = append(list, newExpr(n, x.cpus))
	}
	return list
}

// Join returns the filter that lets pass what all of these do; nil of none.
func Join(list ...*Expr) *Expr {
	var nodes []*node
	cpus := 0
	for _, x := range list {
		if x != nil {
			nodes, cpus = append(nodes, x.root), x.cpus
		}
	}
	return exprOf(nodes, cpus)
}
