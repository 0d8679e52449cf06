package progress

import (
	"fmt"
	"io"
)

// A Writer shows on W how far a run is. The zero value shows nothing.
type Writer struct {
	W io.Writer
	// Terminal says that W is a terminal: then one line is written over and
	// over. Otherwise there is one line for each step, when it has ended.
	Terminal bool
}

const clearLine = "\r\x1b[K"

// Update shows the state of the step under way.
func (p Writer) Update(format string, args ...any) {
	if p.W != nil && p.Terminal {
		fmt.Fprintf(p.W, clearLine+format, args...)
	}
}

// Line shows that a step has ended.
func (p Writer) Line(format string, args ...any) {
	if p.W == nil {
		return
	}
	if p.Terminal {
		p.Update(format, args...)
		return
	}
	fmt.Fprintf(p.W, format+"\n", args...)
}

// Clear takes the progress line away.
func (p Writer) Clear() {
	if p.W != nil && p.Terminal {
		fmt.Fprint(p.W, clearLine)
	}
}
