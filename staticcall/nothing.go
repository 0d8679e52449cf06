package staticcall

import (
	"reflect"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// nothing returns a function of type t that does nothing and returns zero values, nil if
// t is no function type.
func nothing(t reflect.Type) engine.Func {
	if t.Kind() != reflect.Func {
		return nil
	}
	if fn := nothingFast(t); fn != nil {
		return fn
	}
	zeros := make([]reflect.Value, t.NumOut())
	for i := range zeros {
		zeros[i] = reflect.Zero(t.Out(i))
	}
	// A variable of the type: what it holds is the closure. (Value.Pointer is the code.)
	v := reflect.New(t)
	v.Elem().Set(reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value { return zeros }))
	return *(*unsafe.Pointer)(v.UnsafePointer())
}
