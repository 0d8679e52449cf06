package main

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
)

func init() { programs["dynundo"] = dynUndo }

// dynUndoReport is what `prog dynundo` prints.
type dynUndoReport struct {
	Rounds  int              `json:"rounds"`
	Failed  int              `json:"failed"` // batches that were taken back
	Message string           `json:"message"`
	Places  callPlaces       `json:"places"` // sums over all rounds, at their ends
	Calls   int              `json:"calls"`
	Before  int              `json:"before"` // of them, written before the one that cannot be
	Wrong   uint64           `json:"wrong"`
	First   string           `json:"first"`
	Stubs   stubUse          `json:"stubs"`
	Status  quietpatch.State `json:"status"`
}

// dynUndo starts to learn over and over, in batches that fail in the middle: the page with the
// last call cannot be written. Threads are in the new stubs when all is put back.
func dynUndo(args []string) (any, error) {
	fs := flags("dynundo")
	rounds := fs.Int("rounds", 100, "how often to start")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	text, err := readText()
	if err != nil {
		return nil, err
	}
	calls, err := callsOnDeniedPage()
	if err != nil {
		return nil, err
	}
	r := &dynUndoReport{Calls: len(calls)}
	page := calls[len(calls)-1].Addr &^ uint64(os.Getpagesize()-1)
	for _, c := range calls {
		if c.Addr+callLen <= page {
			r.Before++
		}
	}
	var t dynTally
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { collect(done, true) })
	runtime.GOMAXPROCS(2*runtime.NumCPU() + 4)
	stop := busyCalls(&t)
	for r.Rounds = 0; r.Rounds < *rounds && err == nil; r.Rounds++ {
		err = r.round(text, calls)
	}
	stop()
	close(done)
	wg.Wait()
	r.Wrong, r.Stubs, r.Status = t.wrong.Load(), stubsInUse(), quietpatch.Status()
	if p := t.first.Load(); p != nil {
		r.First = *p
	}
	return r, err
}

// round starts, waits for the first batch, which holds all calls, and stops.
func (r *dynUndoReport) round(text *dynText, calls []dyncall.Site) error {
	o := impatient("main.*")
	o.CountedMax = 10_000
	if err := dyncall.Start(o); err != nil {
		return err
	}
	s := untilStats(10*time.Second, func(s dyncall.Statistics) bool { return s.Error != "" || s.Counting > 0 })
	if s.Error != "" {
		r.Failed++
		r.Message = s.Error
	}
	err := dyncall.Stop()
	p := text.places(calls)
	r.Places.Thunk, r.Places.Stub, r.Places.Else = r.Places.Thunk+p.Thunk, r.Places.Stub+p.Stub, r.Places.Else+p.Else
	return err
}

// callsOnDeniedPage finds the calls, and makes the page of the last one read-only for good.
func callsOnDeniedPage() ([]dyncall.Site, error) {
	if err := configure("", "none"); err != nil {
		return nil, err
	}
	if err := dyncall.Start(impatient("main.*")); err != nil {
		return nil, err
	}
	calls := dyncall.Sites()
	if err := dyncall.Stop(); err != nil {
		return nil, err
	}
	if len(calls) == 0 {
		return nil, errors.New("no calls were found")
	}
	if err := denyWrites(uintptr(calls[len(calls)-1].Addr) &^ uintptr(os.Getpagesize()-1)); err != nil {
		return nil, err
	}
	return calls, configure("", "procmem")
}
