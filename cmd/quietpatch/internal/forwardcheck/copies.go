package forwardcheck

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// expr reports static calls and keys that are local, copied or overwritten. stack ends
// with e.
func (c *inspection) expr(e ast.Expr, stack []ast.Node) {
	if id, ok := e.(*ast.Ident); ok {
		c.local(id)
	}
	switch e.(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr, *ast.StarExpr:
	default:
		return
	}
	t, ok := c.pass.TypesInfo.Types[e]
	if !ok || !t.Addressable() {
		return // a type, a name on its own, or the result of a constructor
	}
	what := kind(t.Type)
	if what == "" {
		return
	}
	text := types.ExprString(e)
	switch c.position(e, stack) {
	case copied:
		pointer := "&" + text
		if star, ok := e.(*ast.StarExpr); ok {
			pointer = types.ExprString(star.X)
		}
		c.report(e, text+" is copied, and a copy of a "+what+" is never patched", "hand over "+pointer)
	case overwritten:
		c.report(e, text+" is overwritten, behind the back of the sites that are patched", "change it by "+setter(what)+", and give it its first value where it is declared")
	}
}

func setter(what string) string {
	if what == "static call" {
		return "Update"
	}
	return "Set"
}

// local reports the declaration of a variable of a function, but for tests, which need
// no speed.
func (c *inspection) local(id *ast.Ident) {
	v, ok := c.pass.TypesInfo.Defs[id].(*types.Var)
	if !ok || v.IsField() || global(v) || id.Name == "_" {
		return
	}
	if what := kind(v.Type()); what != "" && !strings.HasSuffix(c.pass.Fset.Position(id.Pos()).Filename, "_test.go") {
		c.report(id, id.Name+" is a "+what+" in a function, where it is never patched",
			"declare it at package level, or use a pointer to one that is")
	}
}

// What is done with a variable where it stands.
type position int

const (
	used position = iota // its address is taken, or a field or method selected
	copied
	overwritten
)

// position says what the expression around e, which stack ends with, does with it.
func (c *inspection) position(e ast.Expr, stack []ast.Node) position {
	child := ast.Node(e)
	for i := len(stack) - 2; i >= 0; i-- {
		switch p := stack[i].(type) {
		case *ast.ParenExpr:
			child = p
			continue
		case *ast.UnaryExpr:
			if p.Op == token.AND {
				return used
			}
		case *ast.SelectorExpr: // x.Set, and the x of p.x
			return used
		case *ast.AssignStmt:
			return assigned(p, child, stack)
		case *ast.ValueSpec:
			if v, ok := c.pass.TypesInfo.Defs[p.Names[0]].(*types.Var); ok && !global(v) {
				return used // local reports it
			}
		case *ast.RangeStmt:
			if p.X != child {
				return used // a variable of it, which local reports
			}
		case *ast.ExprStmt, *ast.Field:
			return used
		case *ast.CallExpr:
			if c.sizes(p) {
				return used
			}
		}
		return copied
	}
	return used
}

// sizes reports whether the call is one of package unsafe, which looks at types only.
func (c *inspection) sizes(call *ast.CallExpr) bool {
	t, ok := c.pass.TypesInfo.Types[call]
	return ok && t.Value != nil
}

func assigned(s *ast.AssignStmt, child ast.Node, stack []ast.Node) position {
	for _, l := range s.Lhs {
		if l != child {
			continue
		}
		decl, _ := enclosing(stack)
		if s.Tok == token.DEFINE || decl != nil && decl.Recv == nil && decl.Name.Name == "init" {
			return used // local reports it; or nothing is patched yet
		}
		return overwritten
	}
	for i, r := range s.Rhs {
		if r == child && len(s.Lhs) == len(s.Rhs) {
			if id, ok := s.Lhs[i].(*ast.Ident); ok && (id.Name == "_" || s.Tok == token.DEFINE) {
				return used // not used, or reported as local
			}
		}
	}
	return copied
}
