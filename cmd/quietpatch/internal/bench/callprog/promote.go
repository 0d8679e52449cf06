package callprog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
	"github.com/quietpatch/quietpatch/dyncall"
)

// learnTime is how long a job may take to be learned.
const learnTime = 5 * time.Second

// countedMax is more calls than the program has, so that all are learned at once.
// With the default, programs take some seconds of their first minute for that.
const countedMax = 1 << 14

// errNoPromotion: calls cannot be promoted in this process.
var errNoPromotion = errors.New("indirect calls cannot be promoted here")

// compare measures a job without promotion, with it twice, and without it again, in
// one process: what drifts meanwhile, and where code and data happen to lie, is the
// same for both sides. That is one sample of each; the next process has the next,
// where code and data lie elsewhere. Learning is part of no sample: a program learns
// for a second, and then for a tenth of one each minute at most.
func (m *meter) compare(long time.Duration) (report.Sample, error) {
	s := report.Sample{Name: m.job.name}
	before, err := m.sample(long)
	if err != nil {
		return s, err
	}
	if err := m.learn(&s); err != nil {
		return s, err
	}
	first, err1 := m.sample(long)
	second, err2 := m.sample(long)
	st := dyncall.Stats()
	s.Calls, s.Promoted = st.Calls, st.Promoted
	if st.Error != "" {
		return s, fmt.Errorf("%w: %s", errNoPromotion, st.Error)
	}
	if err := errors.Join(err1, err2, dyncall.Stop()); err != nil {
		return s, err
	}
	after, err := m.sample(long)
	s.NS, s.PromotedNS = (before+after)/2, (first+second)/2
	return s, err
}

// learn runs the job until its calls are learned.
func (m *meter) learn(s *report.Sample) error {
	ctx, cancel := context.WithTimeout(context.Background(), learnTime)
	defer cancel()
	start := time.Now()
	if err := dyncall.Start(dyncall.Options{CountedMax: countedMax}); err != nil {
		return fmt.Errorf("%w: %w", errNoPromotion, err)
	}
	s.StartNS = time.Since(start).Nanoseconds()
	settled := make(chan error, 1)
	go func() { settled <- dyncall.Settle(ctx) }()
	for {
		select {
		case err := <-settled:
			s.LearnNS = time.Since(start).Nanoseconds()
			s.Unsettled = errors.Is(err, context.DeadlineExceeded)
			if s.Unsettled {
				return nil
			}
			return err
		default:
		}
		if _, err := m.slice(); err != nil {
			return err
		}
	}
}
