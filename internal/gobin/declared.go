package gobin

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Static calls are variables, too: the word in front is read by their forwarders.
const (
	staticcallPath = repo + "/staticcall"
	callType       = "Call" // its type arguments are known to DWARF only
	funcWidth      = 8
)

// isStaticCall says whether the type, as in Key, is that of a static call.
func isStaticCall(typ string) bool { return typ == callType || strings.HasPrefix(typ, callType+"[") }

// typeWidth is how many bytes sites of a variable of the type read; 0 for other types.
func typeWidth(typ string) int {
	if isStaticCall(typ) {
		return funcWidth
	}
	return keyTypes[typ]
}

// declared is all variables that the program declares, keys and static calls.
type declared struct {
	vars []Key // ascending by address
	err  error
}

// Keys returns the keys of the program, ascending by address. It reads them off
// the calls that register them, which needs neither symbols nor DWARF; with
// DWARF it adds the variables that nothing registers. When one of the two cannot be
// read, the keys of the other are returned together with the error.
func (f *File) Keys() ([]Key, error) {
	d := f.declared()
	return slices.DeleteFunc(slices.Clone(d.vars), func(k Key) bool { return isStaticCall(k.Type) }), d.err
}

// Calls returns the static calls of the program, found as keys are. The error is
// the same as that of Keys.
func (f *File) Calls() ([]Key, error) {
	d := f.declared()
	return slices.DeleteFunc(slices.Clone(d.vars), func(k Key) bool { return !isStaticCall(k.Type) }), d.err
}

func (f *File) declared() *declared {
	f.declaredOnce.Do(func() { f.declaredVars = f.findDeclared() })
	return &f.declaredVars
}

func (f *File) findDeclared() declared {
	registered := f.registrations()
	keys := slices.Clone(registered.keys)
	seen := map[uint64]bool{}
	for _, k := range keys {
		seen[k.Addr] = true
	}
	var vars []variable
	err := guard("DWARF", func() (err error) {
		vars, err = f.dwarfVariables()
		return err
	})
	types := map[uint64]string{}
	for _, v := range vars {
		types[v.addr] = v.typ
	}
	for i := range keys { // the call tells the width of a key, DWARF its type
		typ := types[keys[i].Addr]
		if typeWidth(typ) == keys[i].Width && isStaticCall(typ) == isStaticCall(keys[i].Type) {
			keys[i].Type = typ
		}
	}
	for _, v := range vars {
		if !seen[v.addr] && f.inData(v.addr) {
			seen[v.addr] = true
			keys = append(keys, Key{Symbol: cmp.Or(f.Symbol(v.addr), v.name), Addr: v.addr, Type: v.typ, Width: typeWidth(v.typ)})
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return cmp.Compare(a.Addr, b.Addr) })
	if err != nil {
		err = fmt.Errorf("%s: keys that are not registered: %w", f.name, err)
	}
	if registered.failed != nil {
		err = errors.Join(fmt.Errorf("%s: keys that are registered: %w", f.name, registered.failed), err)
	}
	return declared{keys, err}
}
