package forwardcheck

import (
	"fmt"
	"go/ast"
	"go/types"
	"reflect"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

const (
	repo       = "github.com/quietpatch/quietpatch"
	callPath   = repo + "/staticcall"
	callType   = "Call"
	keyPath    = repo + "/statickey"
	funcMethod = "Func"
)

// keyTypes are the types of keys in the package statickey.
var keyTypes = map[string]bool{"Bool": true, "Counted": true, "Sealed": true, "Value": true}

// Analyzer reports uses of static calls and keys that cannot be patched.
var Analyzer = &analysis.Analyzer{
	Name: "quietpatch",
	Doc: "check that static calls are used by forwarders only, and that static calls and keys are not copied\n\n" +
		"A forwarder is a function with //go:noinline whose one statement calls x.Func() of a package-level\n" +
		"staticcall.Call with the function's own parameters, in order, and returns the results.",
	URL:        "https://pkg.go.dev/" + callPath,
	Requires:   []*analysis.Analyzer{inspect.Analyzer},
	ResultType: reflect.TypeFor[*Summary](),
	Run:        run,
}

// Summary counts what was looked at.
type Summary struct {
	Forwarders int // that are right
	Uses       int // of the functions of static calls
}

// inspection is the check of one package.
type inspection struct {
	pass *analysis.Pass
	sum  Summary
}

func run(pass *analysis.Pass) (any, error) {
	c := &inspection{pass: pass}
	if path := pass.Pkg.Path(); path == callPath || path == keyPath {
		return &c.sum, nil // they may do what they like, and so do their tests
	}
	in, ok := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	if !ok {
		return nil, fmt.Errorf("expected the result of %s, found %T", inspect.Analyzer, pass.ResultOf[inspect.Analyzer])
	}
	in.WithStack(nil, func(n ast.Node, push bool, stack []ast.Node) bool {
		if !push {
			return true
		}
		if sel, ok := n.(*ast.SelectorExpr); ok && c.isFunc(sel) {
			c.use(sel, stack)
		}
		if e, ok := n.(ast.Expr); ok {
			c.expr(e, stack)
		}
		return true
	})
	return &c.sum, nil
}

// report reports what is wrong and what to write.
func (c *inspection) report(at analysis.Range, wrong, write string) {
	c.pass.Report(analysis.Diagnostic{Pos: at.Pos(), End: at.End(), Message: wrong + ": " + write})
}

// isFunc reports whether the selector is the method Func of a static call.
func (c *inspection) isFunc(sel *ast.SelectorExpr) bool {
	if sel.Sel.Name != funcMethod {
		return false
	}
	fn, ok := c.pass.TypesInfo.Uses[sel.Sel].(*types.Func)
	if !ok || fn.Signature().Recv() == nil {
		return false
	}
	_, isCall := callOf(deref(fn.Signature().Recv().Type()))
	return isCall
}

// named returns the package and the name of a named type.
func named(t types.Type) (path, name string) {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return "", ""
	}
	return n.Obj().Pkg().Path(), n.Obj().Name()
}

// callOf reports whether t is the type of a static call, and returns its function type
// (nil if that is a type parameter).
func callOf(t types.Type) (*types.Signature, bool) {
	path, name := named(t)
	if path != callPath || name != callType {
		return nil, false
	}
	args := types.Unalias(t).(*types.Named).TypeArgs()
	if args.Len() != 1 {
		return nil, true
	}
	sig, _ := args.At(0).Underlying().(*types.Signature)
	return sig, true
}

// kind says what a variable of type t is, "" if it is neither a static call nor a key.
func kind(t types.Type) string {
	if t == nil {
		return ""
	}
	switch path, name := named(t); {
	case path == callPath && name == callType:
		return "static call"
	case path == keyPath && keyTypes[name]:
		return "static key"
	}
	return ""
}

func deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}
