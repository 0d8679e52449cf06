package ipifilter

import (
	"math/rand/v2"
	"testing"
)

// evalTree evaluates a tree with the comparisons of [compileLeaf].
func evalTree(x *Tree, cpus int, r *Record) bool {
	if x.Kind == Leaf {
		return compileLeaf(&comparison{x.Field, x.Op, x.Set, x.Num, x.Str}, cpus)(r)
	}
	for _, k := range x.Kids {
		if is := evalTree(k, cpus, r); is == (x.Kind == AnyOf) || x.Kind == NoneOf {
			return is != (x.Kind == NoneOf)
		}
	}
	return x.Kind == AllOf
}

// TestTree: the tree says what the filter says, and so do its parts together.
func TestTree(t *testing.T) {
	const cpus = 3
	g := generator{rand.New(rand.NewPCG(7, 5)), cpus}
	records := append(world(cpus, true), world(cpus, false)...)
	parts := 0
	for range 100 {
		text := g.expr(3)
		x := mustParse(t, text, cpus)
		tree, joined := x.Tree(), Join(append(x.Parts(), nil)...)
		parts += len(x.Parts())
		for i := range records {
			r := &records[i]
			want := x.Match(r)
			if got := evalTree(tree, cpus, r); got != want {
				t.Fatalf("%s: the tree says %v of %+v, want %v", text, got, r, want)
			}
			if got := joined.Match(r); got != want {
				t.Fatalf("%s: its parts %s say %v of %+v, want %v", text, joined, got, r, want)
			}
		}
	}
	if parts < 120 {
		t.Errorf("%d parts only", parts)
	}
	if x := (*Expr)(nil); x.Tree() != nil || x.Parts() != nil || Join() != nil {
		t.Error("nothing is something")
	}
}
