//go:build linux && amd64

package isolated

import (
	"fmt"

	"github.com/quietpatch/quietpatch/isolate"
	"golang.org/x/sys/unix"
)

// A thread is the isolated one. It takes one job after the other, and waits in between.
type thread struct {
	jobs  chan func(*isolate.Thread)
	back  chan uint64 // after each job: how long the way out of isolation took, in ticks
	ended chan error

	realTime    bool  // wanted
	notRealTime error // why it is not so
}

// isolateThread returns when the thread is isolated on the CPU.
func isolateThread(cpu int, realTime bool) (*thread, error) {
	th := &thread{
		jobs: make(chan func(*isolate.Thread)), back: make(chan uint64), ended: make(chan error, 1), realTime: realTime,
	}
	go func() { th.ended <- isolate.Run(isolate.Options{CPU: cpu, BlockSignals: true}, th.serve) }()
	select {
	case <-th.back:
		return th, nil
	case err := <-th.ended:
		return nil, err
	}
}

// serve runs jobs in isolation, until there are no more.
func (th *thread) serve(t *isolate.Thread) {
	if th.realTime {
		if th.notRealTime = setPolicy(unix.SCHED_FIFO, 1); th.notRealTime == nil {
			defer func() { _ = setPolicy(unix.SCHED_NORMAL, 0) }()
		}
	}
	for {
		var job func(*isolate.Thread)
		left := ticks()
		t.Kernel(func() {
			th.back <- ticks() - left
			job = <-th.jobs
		})
		if job == nil {
			return
		}
		job(t)
	}
}

// end ends the thread, which has no job.
func (th *thread) end() error {
	close(th.jobs)
	return <-th.ended
}

// setPolicy sets how the kernel schedules the calling thread.
func setPolicy(policy, priority uint32) error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
	if err != nil {
		return fmt.Errorf("sched_setattr: %w", err)
	}
	return nil
}
