package failpoint

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"sync"
	"time"
)

// program is the terms of one point, while they are in force.
type program struct {
	name, text string
	terms      chain
	results    []*Error      // of the terms that return, so that an evaluation need not allocate
	done       chan struct{} // closed when the program is replaced or turned off

	mu    sync.Mutex // guards count and the modifiers' left
	count int        // evaluations that did a term
}

func newProgram(s setting) *program {
	pr := &program{name: s.name, text: s.text, terms: s.terms, done: make(chan struct{}), results: make([]*Error, len(s.terms))}
	for i, t := range s.terms {
		if t.act != actReturn {
			continue
		}
		pr.results[i] = &Error{Point: s.name, Value: t.value}
		if t.value == nil {
			pr.results[i].Value = struct{}{}
		}
	}
	return pr
}

// next chooses the term of one evaluation, nil for none, and uses up its
// counts. Only the choice is under the lock: evaluations that sleep or pause do
// not hold up others.
func (pr *program) next() (t *term, result *Error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	for i := range pr.terms {
		if pr.terms[i].allowed() {
			pr.count++
			return &pr.terms[i], pr.results[i]
		}
	}
	return nil, nil
}

// allowed asks all modifiers from left to right, up to the first that refuses:
// in 3*50% a count is used up by an evaluation that chance then refuses, in 50%3* it
// is not. Both gofail and pingcap/failpoint do so.
func (t *term) allowed() bool {
	for i := range t.mods {
		m := &t.mods[i]
		if !m.isCount {
			if rand.Float64() >= m.chance {
				return false
			}
			continue
		}
		if m.left == 0 {
			return false
		}
		m.left--
	}
	return true
}

// do performs a term.
func (pr *program) do(ctx context.Context, t *term, result *Error) (Value, bool) {
	switch t.act {
	case actReturn:
		return Value{result}, true
	case actSleep:
		d, _ := t.value.(time.Duration)
		timer := time.NewTimer(d)
		defer timer.Stop()
		pr.wait(ctx, timer.C)
	case actPause:
		pr.wait(ctx, nil)
	case actPrint:
		log.Print("failpoint print: " + pr.message(t, pr.name+": "))
	case actPanic:
		awaitHolders()
		panic("failpoint panic: " + pr.message(t, ""))
	}
	return Value{}, false
}

// message is the text of a print or panic: the value, or else the point's name.
func (pr *program) message(t *term, prefix string) string {
	if t.value == nil {
		return pr.name
	}
	return prefix + fmt.Sprint(t.value)
}

// wait returns when one of its three reasons to go on is there.
func (pr *program) wait(ctx context.Context, timer <-chan time.Time) {
	var canceled <-chan struct{}
	if ctx != nil {
		canceled = ctx.Done()
	}
	select {
	case <-timer:
	case <-canceled:
	case <-pr.done:
	}
}

// status returns the text of the terms and how many evaluations did one.
func (pr *program) status() (string, int) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return pr.text, pr.count
}

// holders are calls of Hold under way, as readers.
var holders sync.RWMutex

const (
	holdMax  = time.Second
	holdStep = 5 * time.Millisecond
)

// Hold runs f while evaluations that would panic wait, for a second at most: what
// f does about a panic term that it sets, such as answering the request for
// it, is done before the panic can end the program.
func Hold(f func()) {
	holders.RLock()
	defer holders.RUnlock()
	f()
}

// awaitHolders polls, because a holder that never returns must not turn a panic
// into a deadlock.
func awaitHolders() {
	for waited := time.Duration(0); waited < holdMax; waited += holdStep {
		if holders.TryLock() {
			holders.Unlock()
			return
		}
		time.Sleep(holdStep)
	}
}
