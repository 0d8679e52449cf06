package demo

import (
	"fmt"
	"io"
)

// A Progress shows on a writer how far a run is. The zero value shows nothing.
type Progress struct {
	W io.Writer
	// Terminal says that W is a terminal: then one line is written over and
	// over. Otherwise there is one line for each step, when it has ended.
	Terminal bool
}

const clearLine = "\r\x1b[K"

// update shows the state of the step under way.
func (p Progress) update(format string, args ...any) {
	if p.W != nil && p.Terminal {
		fmt.Fprintf(p.W, clearLine+format, args...)
	}
}

// line shows that a step has ended.
func (p Progress) line(format string, args ...any) {
	if p.W == nil {
		return
	}
	if p.Terminal {
		p.update(format, args...)
		return
	}
	fmt.Fprintf(p.W, format+"\n", args...)
}

// clear takes the progress line away.
func (p Progress) clear() {
	if p.W != nil && p.Terminal {
		fmt.Fprint(p.W, clearLine)
	}
}
