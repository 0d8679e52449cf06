package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/site"
	"github.com/quietpatch/quietpatch/internal/text"
)

// SiteError says that a batch failed: where, at which step, and what the text
// looks like now.
type SiteError struct {
	Key  string // whose site failed, as in key "net.trace", or static call; "" if it was no single site
	Func string
	File string
	Line int
	Addr uintptr
	Step string // number and name, as in docs/PROTOCOL.md
	// Undone: every site and the byte show the old value again, on every CPU.
	// It is false in two cases. Unsynced: the old bytes are back, but the sync
	// behind them failed, so for a while a CPU may still act on what was there:
	// the new value, or with int3 a trap byte. Else the
	// text could be neither changed nor restored; trapped sites go on working
	// through the trap handler, and the next call tries again.
	Undone   bool
	Unsynced bool
	Err      error
}

func (e *SiteError) Error() string {
	var b strings.Builder
	b.WriteString("quietpatch: ")
	if e.Addr != 0 {
		fmt.Fprintf(&b, "%s: site %s (%s:%d) at %#x, ", e.Key, e.Func, e.File, e.Line, e.Addr)
	}
	fmt.Fprintf(&b, "step %s: %v", e.Step, e.Err)
	var mismatch *text.MismatchError
	if errors.As(e.Err, &mismatch) {
		b.WriteString(" (somebody else wrote there, a debugger's breakpoint or a uprobe perhaps: remove it and try again)")
	}
	switch {
	case e.Undone:
		b.WriteString("; every site shows the old value")
	case e.Unsynced:
		b.WriteString("; the old bytes are back, but without a sync behind them a CPU may act on the new ones for a while (statickey.Sync makes one)")
	default:
		b.WriteString("; the text could not be put back: sites of this batch may show either value, the next call tries again")
	}
	return b.String()
}

func (e *SiteError) Unwrap() error { return e.Err }

// failure turns the outcome of e.pokes into an error, nil if it is none.
func (e *Engine) failure(out protocol.Outcome) error {
	if out.Err == nil {
		return nil
	}
	err := &SiteError{Step: out.Step.String(), Undone: !out.Stuck && !out.Unsynced, Unsynced: out.Unsynced && !out.Stuck, Err: out.Err}
	if errors.Is(out.Err, errNotReady) {
		err.Step = "before 0"
	}
	if out.Stuck {
		err.Err = fmt.Errorf("%w; on the way back: %w", out.Err, out.StuckErr)
	}
	e.slowPokes()
	if out.Site >= 0 && out.Site < len(e.pokes) {
		p := &e.pokes[out.Site]
		err.Key, err.Addr = p.label(), p.site.addr
		err.Func, err.File, err.Line = e.img.Place(uint64(p.site.addr), site.OurFrame)
	}
	return err
}
