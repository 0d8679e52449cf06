package cpulist

import (
	"fmt"
	"unicode/utf8"
)

// Error says what is wrong with a list of CPUs, and where.
type Error struct {
	At       int // byte of the list; its length if something is missing at the end
	Expected string
	Found    string
	Err      error // why the last CPU of the machine is not known, if that is what is wrong
}

func (e *Error) Error() string {
	return fmt.Sprintf("CPU list, character %d: expected %s, found %s", e.At+1, e.Expected, e.Found)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// expected returns an error that points at a character and shows the word that begins there.
func (p *parser) expected(at int, what string) *Error {
	return &Error{At: at, Expected: what, Found: Quote(p.list[at:], separates)}
}

// Quote shows the first word of what was found in place of something expected, or "the end".
func Quote(rest string, ends func(byte) bool) string {
	const shown = 24
	if rest == "" {
		return "the end"
	}
	n := 0
	for n < len(rest) && n <= shown && !ends(rest[n]) {
		n++
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(rest)
	}
	if n <= shown {
		return fmt.Sprintf("%q", rest[:n])
	}
	for n = shown; n > shown-utf8.UTFMax && !utf8.RuneStart(rest[n]); {
		n--
	}
	return fmt.Sprintf("%q...", rest[:n])
}
