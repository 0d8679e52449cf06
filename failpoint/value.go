package failpoint

import (
	"errors"
	"fmt"
)

// Value is what a return term gives to the code at the point: a string, an int,
// a bool, or nothing. It is one word, and getting it allocates nothing.
type Value struct{ r *Error }

// String returns the value if it is a string, and "" otherwise.
// [Value.Str] tells the two apart.
func (v Value) String() string {
	s, _ := v.Str()
	return s
}

// Str returns the value if it is a string.
func (v Value) Str() (string, bool) {
	s, ok := v.Any().(string)
	return s, ok
}

// Int returns the value if it is an int.
func (v Value) Int() (int, bool) {
	i, ok := v.Any().(int)
	return i, ok
}

// Bool returns the value if it is a bool.
func (v Value) Bool() (b, ok bool) {
	b, ok = v.Any().(bool)
	return b, ok
}

// Any returns the value as a string, an int or a bool, and struct{}{} for a
// return without one, as gofail and pingcap/failpoint do. It is nil for the zero
// Value, which comes with ok == false.
func (v Value) Any() any {
	if v.r == nil {
		return nil
	}
	return v.r.Value
}

// Err returns an error that carries the value, an *[Error]; it is nil for the
// zero Value only.
func (v Value) Err() error {
	if v.r == nil {
		return nil
	}
	return v.r
}

// ErrInjected is what every error of [Value.Err] is, for errors.Is.
var ErrInjected = errors.New("failpoint: injected error")

// Error is an injected error.
type Error struct {
	Point string // the name of the point
	Value any    // as [Value.Any] returns it
}

// Error returns the text itself for a string, so that it can stand for an error
// of the code at the point, and otherwise names the point.
func (e *Error) Error() string {
	switch v := e.Value.(type) {
	case string:
		return v
	case struct{}:
		return "failpoint " + e.Point
	default:
		return fmt.Sprintf("failpoint %s: %v", e.Point, v)
	}
}

// Is makes every injected error ErrInjected.
func (e *Error) Is(target error) bool { return target == ErrInjected }
