package staticcall

import (
	"reflect"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// clear is code, not a Go function: see nothing_amd64.s.
//
//lint:ignore U1000 its address is taken in nothing_amd64.s
func clear()

// clearClosure returns a func value of it.
func clearClosure() unsafe.Pointer

// nothingFast returns clear if all results of t are in registers, else nil.
func nothingFast(t reflect.Type) engine.Func {
	r := room{ints: 9, floats: 15} // cmd/compile/abi-internal.md, amd64
	for i := range t.NumOut() {
		if !r.fits(t.Out(i)) {
			return nil
		}
	}
	return clearClosure()
}

// room counts the registers that are left for results, as the ABI assigns them.
type room struct{ ints, floats int }

func (r *room) fits(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		r.floats--
	case reflect.Complex64, reflect.Complex128:
		r.floats -= 2
	case reflect.String, reflect.Interface:
		r.ints -= 2
	case reflect.Slice:
		r.ints -= 3
	case reflect.Array:
		if t.Len() > 1 {
			return false
		}
		return t.Len() == 0 || r.fits(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !r.fits(t.Field(i).Type) {
				return false
			}
		}
	default:
		r.ints--
	}
	return r.ints >= 0 && r.floats >= 0
}
