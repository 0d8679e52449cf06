package ipifilter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Expr     string
	Pos      int // byte of Expr; its length if something is missing at the end
	Expected string
	Found    string
}

// Error returns two or three lines: what was expected and found, the expression, and a caret
// under the character.
func (e *Error) Error() string { return e.In("filter") }

// In is the same for an expression of another kind, such as an assertion.
func (e *Error) In(what string) string {
	line, column := window(e.Expr, e.Pos)
	text := fmt.Sprintf("%s: expected %s, found %s", what, e.Expected, e.Found)
	if e.Expr == "" {
		return text
	}
	return fmt.Sprintf("%s\n  %s\n  %s^", text, line, strings.Repeat(" ", column))
}

// window returns what of an expression fits into a line around the position, one column
// for each character, and the column of the position.
func window(expr string, pos int) (string, int) {
	const before, after = 60, 30
	var line []rune
	column := 0
	for i, r := range expr {
		if i < pos {
			column++
		}
		if r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.Is(unicode.Mn, r) {
			r = '?'
			if i < len(expr) && strings.IndexByte("\t\n\v\f\r", expr[i]) >= 0 {
				r = ' '
			}
		}
		line = append(line, r)
	}
	if end := column + after; end < len(line) {
		line = append(line[:end:end], []rune("...")...)
	}
	if start := column - before; start > 0 {
		line = append([]rune("..."), line[start:]...)
		column = before + len("...")
	}
	return string(line), column
}
