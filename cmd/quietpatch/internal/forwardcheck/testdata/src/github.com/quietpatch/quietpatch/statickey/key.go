// Package statickey stands in for the real one.
package statickey

type Bool struct{ on bool }

func (k *Bool) Enabled() bool     { return k.on }
func (k *Bool) Set(on bool) error { k.on = on; return nil }

type Value[T any] struct{ v T }

func NewValue[T any](v T) *Value[T] { return &Value[T]{v} }

func (v *Value[T]) Load() T { return v.v }
