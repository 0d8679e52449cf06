package forwardcheck

import (
	"fmt"
	"go/ast"
	"go/types"
)

// Registers for arguments, and again for results (cmd/compile/abi-internal.md, amd64).
const (
	intRegisters   = 9
	floatRegisters = 15
)

// registers says which argument or result has no place in registers: then the
// forwarder copies it, and its calls are not patched.
func (c *inspection) registers(sig *types.Signature, decl *ast.FuncDecl) (wrong, write string) {
	const pointers = "hand over a pointer instead"
	for _, list := range []struct {
		what string
		vars *types.Tuple
	}{{"argument", sig.Params()}, {"result", sig.Results()}} {
		r := room{intRegisters, floatRegisters}
		for i := range list.vars.Len() {
			t := list.vars.At(i).Type()
			if !r.take(t) {
				return fmt.Sprintf("%s %d of %s (%s) does not fit into registers, so calls of %s are not patched",
					list.what, i+1, decl.Name.Name, c.typeName(t), decl.Name.Name), pointers
			}
		}
	}
	return "", ""
}

// room is the registers that are left.
type room struct{ ints, floats int }

// take takes the registers of a value, or false without taking any.
func (r *room) take(t types.Type) bool {
	left := *r
	if !left.fits(t) || left.ints < 0 || left.floats < 0 {
		return false
	}
	*r = left
	return true
}

func (r *room) fits(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		switch info := t.Info(); {
		case info&types.IsComplex != 0:
			r.floats -= 2
		case info&types.IsFloat != 0:
			r.floats--
		case info&types.IsString != 0:
			r.ints -= 2
		default:
			r.ints--
		}
	case *types.Interface:
		r.ints -= 2
	case *types.Slice:
		r.ints -= 3
	case *types.Array:
		if t.Len() > 1 {
			return false
		}
		return t.Len() == 0 || r.fits(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			if !r.fits(f.Type()) {
				return false
			}
		}
	default:
		r.ints-- // one word: a pointer, a map, a channel, a function
	}
	return true
}
