package forwardcheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// use checks that one use of a static call's function stands in a forwarder. stack ends
// with sel.
func (c *inspection) use(sel *ast.SelectorExpr, stack []ast.Node) {
	c.sum.Uses++
	x, wrong, write := c.variable(sel)
	if wrong != "" {
		c.report(sel, wrong, write)
		return
	}
	text := types.ExprString(x)
	sig, _ := callOf(c.pass.TypesInfo.TypeOf(x))
	decl, literal := enclosing(stack)
	switch {
	case literal:
		wrong = text + ".Func is used in a function literal, which is no forwarder"
	case decl == nil:
		wrong = text + ".Func is used outside of a function"
	case generic(c.pass.TypesInfo, decl):
		wrong = decl.Name.Name + " is generic and gets its types as a hidden argument, so it is no forwarder"
	default:
		wrong = c.shape(decl, sel, sig)
	}
	if wrong != "" {
		c.report(sel, wrong, "call "+text+" by way of a forwarder; write "+c.example(text, sig))
		return
	}
	if wrong, write = c.registers(sig, decl); wrong != "" {
		c.report(decl.Name, wrong, write)
		return
	}
	if !noinline(decl) {
		c.report(decl.Name, decl.Name.Name+" may be inlined, and then no calls of it are left to patch",
			"write //go:noinline on the line in front of it")
		return
	}
	c.sum.Forwarders++
}

// variable checks that the method is that of a package-level variable, and returns it.
func (c *inspection) variable(sel *ast.SelectorExpr) (x ast.Expr, wrong, write string) {
	x = ast.Unparen(sel.X)
	text := types.ExprString(x)
	t := c.pass.TypesInfo.Types[x]
	const declare = "declare it at package level, var x = staticcall.New(f), and use x.Func there"
	switch {
	case t.IsType():
		return x, text + ".Func is a method expression, by way of which nothing is patched", "call x.Func() of a package-level variable x in a forwarder"
	case isPointer(t.Type):
		return x, text + " is a pointer to a static call, by way of which nothing is patched", "use the package-level variable itself, of type " + c.typeName(deref(t.Type))
	case kind(t.Type) == "":
		return x, "the static call in " + text + " is embedded", "name its field, or better " + declare
	}
	// Fields of package-level structs, and elements of their arrays by constant, have
	// fixed addresses, too.
	for {
		switch e := ast.Unparen(x).(type) {
		case *ast.Ident:
			if v, ok := c.pass.TypesInfo.Uses[e].(*types.Var); ok && global(v) {
				return sel.X, "", ""
			}
			return x, text + " is not a package-level variable", declare
		case *ast.SelectorExpr:
			if v, ok := c.pass.TypesInfo.Uses[e.Sel].(*types.Var); ok && global(v) {
				return sel.X, "", ""
			}
			s := c.pass.TypesInfo.Selections[e]
			if s == nil || s.Indirect() || isPointer(s.Recv()) {
				return x, text + " is reached by way of a pointer", declare
			}
			x = e.X
		case *ast.IndexExpr:
			_, array := c.pass.TypesInfo.TypeOf(e.X).Underlying().(*types.Array)
			if !array || c.pass.TypesInfo.Types[e.Index].Value == nil {
				return x, text + " has no fixed address", declare
			}
			x = e.X
		default:
			return x, text + " is not a package-level variable", declare
		}
	}
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

func global(v *types.Var) bool {
	return !v.IsField() && v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}

// enclosing returns the function declaration that a stack of nodes ends in; literal if
// it ends in a function literal.
func enclosing(stack []ast.Node) (decl *ast.FuncDecl, literal bool) {
	for _, n := range slices.Backward(stack) {
		switch n := n.(type) {
		case *ast.FuncLit:
			return nil, true
		case *ast.FuncDecl:
			return n, false
		}
	}
	return nil, false
}

// generic reports whether the function, or the type that it is a method of, has type
// parameters.
func generic(info *types.Info, decl *ast.FuncDecl) bool {
	fn, ok := info.Defs[decl.Name].(*types.Func)
	return ok && (fn.Signature().TypeParams().Len() > 0 || fn.Signature().RecvTypeParams().Len() > 0)
}

func noinline(decl *ast.FuncDecl) bool {
	return decl.Doc != nil && slices.ContainsFunc(decl.Doc.List, func(l *ast.Comment) bool {
		return l.Text == "//go:noinline" || strings.HasPrefix(l.Text, "//go:noinline ")
	})
}

// shape says what the function does besides calling what Func returns with its own
// parameters, "" if nothing.
func (c *inspection) shape(decl *ast.FuncDecl, sel *ast.SelectorExpr, sig *types.Signature) string {
	name := decl.Name.Name
	if len(decl.Body.List) != 1 {
		return fmt.Sprintf("%s has %d statements, and a forwarder has one", name, len(decl.Body.List))
	}
	var e ast.Expr
	switch s := decl.Body.List[0].(type) {
	case *ast.ExprStmt:
		e = s.X
	case *ast.ReturnStmt:
		if len(s.Results) == 1 {
			e = s.Results[0]
		}
	}
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return name + " is not one statement that calls and returns"
	}
	get, ok := ast.Unparen(call.Fun).(*ast.CallExpr)
	if !ok || ast.Unparen(get.Fun) != sel {
		return name + " does more than to call what Func returns"
	}
	fn, ok := c.pass.TypesInfo.Defs[decl.Name].(*types.Func)
	if !ok || sig == nil {
		return name + " has no known type"
	}
	if wrong := c.arguments(fn.Signature(), call, sig); wrong != "" {
		return name + " " + wrong
	}
	if wrong := sameResults(fn.Signature().Results(), sig.Results()); wrong != "" {
		return name + " " + wrong
	}
	return ""
}

// parameters are those of a function as it is called: a receiver comes first.
func parameters(sig *types.Signature) []*types.Var {
	var out []*types.Var
	if sig.Recv() != nil {
		out = append(out, sig.Recv())
	}
	for v := range sig.Params().Variables() {
		out = append(out, v)
	}
	return out
}

// arguments says how the arguments of the call differ from the parameters of own.
func (c *inspection) arguments(own *types.Signature, call *ast.CallExpr, sig *types.Signature) string {
	params := parameters(own)
	if len(call.Args) != len(params) {
		return fmt.Sprintf("has %d parameters and hands over %d arguments", len(params), len(call.Args))
	}
	for i, p := range params {
		id, ok := ast.Unparen(call.Args[i]).(*ast.Ident)
		switch {
		case p.Name() == "" || p.Name() == "_":
			return fmt.Sprintf("has no name for parameter %d, so it cannot hand it over", i+1)
		case !ok || c.pass.TypesInfo.Uses[id] != p:
			return fmt.Sprintf("hands over %s where its parameter %s belongs", types.ExprString(call.Args[i]), p.Name())
		}
	}
	if sig.Variadic() && call.Ellipsis == token.NoPos {
		return "hands over single arguments to a variadic function, where ... belongs behind the last"
	}
	for i, p := range params {
		if i < sig.Params().Len() && !sameWords(p.Type(), sig.Params().At(i).Type()) {
			return fmt.Sprintf("converts its parameter %s to %s", p.Name(), sig.Params().At(i).Type())
		}
	}
	return ""
}

func sameResults(own, theirs *types.Tuple) string {
	if own.Len() != theirs.Len() {
		return fmt.Sprintf("has %d results, and the function that it calls %d", own.Len(), theirs.Len())
	}
	for i := range own.Len() {
		if !sameWords(own.At(i).Type(), theirs.At(i).Type()) {
			return fmt.Sprintf("converts result %d from %s to %s", i+1, theirs.At(i).Type(), own.At(i).Type())
		}
	}
	return ""
}

// sameWords reports whether a value of one type is handed over as the other without
// any code: what is assignable is, but for interfaces.
func sameWords(a, b types.Type) bool {
	return types.Identical(a.Underlying(), b.Underlying()) || !types.IsInterface(a) && !types.IsInterface(b)
}

// example is a forwarder of the variable.
func (c *inspection) example(variable string, sig *types.Signature) string {
	name := variable[strings.LastIndexByte(variable, '.')+1:]
	if !token.IsIdentifier(name) {
		name = "it"
	}
	name = "call" + strings.ToUpper(name[:1]) + name[1:]
	if sig == nil {
		return "//go:noinline and func " + name + " with one statement, return " + variable + ".Func()(its parameters)"
	}
	var params, args []string
	for i := range sig.Params().Len() {
		p := sig.Params().At(i)
		arg, typ := p.Name(), c.typeName(p.Type())
		if arg == "" || arg == "_" {
			arg = fmt.Sprintf("p%d", i)
		}
		if sig.Variadic() && i == sig.Params().Len()-1 {
			params, args = append(params, arg+" ..."+strings.TrimPrefix(typ, "[]")), append(args, arg+"...")
			continue
		}
		params, args = append(params, arg+" "+typ), append(args, arg)
	}
	results, give := "", ""
	if n := sig.Results().Len(); n > 0 {
		var list []string
		for v := range sig.Results().Variables() {
			list = append(list, c.typeName(v.Type()))
		}
		results, give = " "+strings.Join(list, ", "), "return "
		if n > 1 {
			results = " (" + strings.Join(list, ", ") + ")"
		}
	}
	return fmt.Sprintf("//go:noinline and func %s(%s)%s { %s%s.Func()(%s) }",
		name, strings.Join(params, ", "), results, give, variable, strings.Join(args, ", "))
}

// typeName is the type as the package at hand would write it.
func (c *inspection) typeName(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == c.pass.Pkg {
			return ""
		}
		return p.Name()
	})
}
