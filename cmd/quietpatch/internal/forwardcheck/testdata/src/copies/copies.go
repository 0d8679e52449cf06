// Package copies copies static calls and keys, or does not.
package copies

import (
	"fmt"
	"unsafe"

	"github.com/quietpatch/quietpatch/staticcall"
	"github.com/quietpatch/quietpatch/statickey"
)

var (
	call  = staticcall.New(func() {})
	other = call // want `call is copied, and a copy of a static call is never patched: hand over &call`
	key   statickey.Bool
	keys  = []statickey.Bool{{}, key} // want `key is copied, and a copy of a static key`
	limit = statickey.NewValue(3)
	pair  = struct{ key statickey.Bool }{}
	_     = fmt.Sprint(key) // want `key is copied`
	_     = unsafe.Sizeof(call)
	list  []*statickey.Bool
)

//go:noinline
func forward() { call.Func()() }

func init() { call = staticcall.New(forward) }

func locals(byValue statickey.Bool, p *statickey.Bool) (result statickey.Bool) { // want `byValue is a static key in a function, where it is never patched: declare` `result is a static key`
	k := key                      // want `k is a static key in a function`
	var c staticcall.Call[func()] // want `c is a static call in a function`
	var v = key                   // want `v is a static key`
	v2 := *limit                  // want `v2 is a static key`
	for _, x := range keys {      // want `x is a static key`
		_ = x.Enabled()
	}
	_ = c.Update(nil)
	_, _ = k, v
	_ = v2.Load()
	return *p // want `\*p is copied, and a copy of a static key is never patched: hand over p`
}

func writes() {
	key = statickey.Bool{}         // want `key is overwritten, behind the back of the sites that are patched: change it by Set`
	call = staticcall.New(forward) // want `call is overwritten, .*: change it by Update`
	keys[0] = keys[1]              // want `keys\[0\] is overwritten` `keys\[1\] is copied`
	(pair.key) = statickey.Bool{}  // want `pair.key is overwritten`
	locals(key, &key)              // want `key is copied`
	func(any) {}(pair.key)         // want `pair.key is copied`
}

func fine() *statickey.Bool {
	_ = key.Set(true)
	_ = (&call).Update(nil)
	_ = pair.key.Enabled()
	list = append(list, &key, &pair.key, &keys[0])
	for i := range keys {
		_ = keys[i].Enabled()
	}
	_ = key
	fresh := new(statickey.Bool)
	_ = struct{ key *statickey.Bool }{key: &key}
	return fresh
}
