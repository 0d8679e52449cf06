package callprog

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
)

// sliceTime is the shortest time that is read from the clock as one piece: reading
// it takes a system call.
const sliceTime = time.Millisecond

// A meter measures one job.
//
// Times are those of the process on its CPUs, not of the clock on the wall: what
// other programs take away does not count. What is left of their noise (caches, a
// CPU's frequency, a core that is shared) comes in bursts and makes everything slower,
// so a sample is cut into slices of a millisecond, and is a fast one of them. On a busy
// machine that scatters a third as much as the mean of the middle half. Fast slices
// have no garbage collection in them either, which promotion does not touch.
type meter struct {
	job   job
	turns int           // that fill a slice
	warm  time.Duration // before each sample, for jobs with an order
}

// newMeter finds out how many turns of the job fill a slice.
func newMeter(j job, warm time.Duration) (*meter, error) {
	m := &meter{job: j, turns: 1, warm: warm}
	for {
		took, err := m.slice()
		if err != nil {
			return nil, err
		}
		if took >= float64(sliceTime) {
			return m, nil
		}
		m.turns = max(m.turns+1, min(2*m.turns, int(1.1*float64(sliceTime)*float64(m.turns)/max(took, 1))))
	}
}

// slice returns the time of all turns.
func (m *meter) slice() (float64, error) {
	from, err := cpuTime()
	if err != nil {
		return 0, err
	}
	for range m.turns {
		if err := m.job.run(); err != nil {
			return 0, fmt.Errorf("%s: %w", m.job.name, err)
		}
	}
	to, err := cpuTime()
	return float64(to - from), err
}

// sample returns the time of one run of the job. It begins with an empty heap, as
// every other sample.
func (m *meter) sample(long time.Duration) (float64, error) {
	const least = 8
	runtime.GC()
	if m.job.ordered {
		if _, err := m.slices(m.warm, 1); err != nil {
			return 0, err
		}
	}
	list, err := m.slices(long, least)
	return fast(list), err
}

// slices returns the times of one run in slices that take so long together.
func (m *meter) slices(long time.Duration, least int) (list []float64, err error) {
	for took := 0.0; took < float64(long) || len(list) < least; {
		ns, err := m.slice()
		if err != nil {
			return nil, err
		}
		list = append(list, ns/float64(m.turns))
		took += ns
	}
	return list, nil
}

// fast is what a tenth of the slices do not exceed: the very fastest may be an error of
// the clock.
func fast(s []float64) float64 {
	if len(s) == 0 {
		return report.NotMeasured
	}
	slices.Sort(s)
	return s[len(s)/10]
}
