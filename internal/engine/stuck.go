package engine

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// stuckBatch is a batch that could be neither finished nor undone.
type stuckBatch struct {
	machine protocol.Machine
	pokes   []poke
	err     error
}

// recoverLocked clears up after an earlier batch before anything else is done: it
// tries to get a stuck one out of the way, whose trapped sites work meanwhile,
// through the vector; and it makes the sync that one could not make behind its
// undo. Until then no call can promise what any check sees, not even one that
// changes nothing.
func (e *Engine) recoverLocked() error {
	if err := e.unstick(); err != nil {
		return err
	}
	if e.owed == nil {
		return nil
	}
	return e.syncNow(fmt.Sprintf("that an earlier batch owes (%v)", e.owed))
}

func (e *Engine) unstick() error {
	if e.stuck == nil {
		return nil
	}
	// A backend that is gone writes nothing; the way back has the other one.
	beginErr := e.m.Begin()
	s := e.stuck
	e.stuck = nil
	e.clear()
	e.pokes = append(e.pokes, s.pokes...)
	s.machine.Resume()
	out := e.drive(&s.machine)
	if out.Stuck {
		return fmt.Errorf("an earlier batch is still stuck: %w", errors.Join(e.stuck.err, beginErr))
	}
	e.later = nil
	return nil
}
