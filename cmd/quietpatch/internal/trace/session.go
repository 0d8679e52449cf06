package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitracefs"
)

// Options say what a session does.
type Options struct {
	Watch   ipitrace.Options // nil Victims: DefaultVictims
	Planned time.Duration    // how long it is to last; 0: until it is stopped
	Backend string           // one of Backends; "": Auto
	Filter  string           // of which Watch.Filter was made, for the report
	Notes   []string         // for the report
	Record  io.Writer        // where all steps are written as a record; nil: nowhere

	offline ipi.CPUs    // that would be watched, and did not run at the start
	ended   func() bool // the processes have all ended; nil: there is none whose end matters
}

func (o *Options) note(text string) {
	if text != "" {
		o.Notes = append(o.Notes, text)
	}
}

// A Session is one trace, from Start to Stop.
type Session struct {
	mu        sync.Mutex // of the order of steps
	victims   ipi.CPUs
	offline   func() ipi.CPUs // those that do not run now, of them and of what was offline at the start
	down      ipi.CPUs        // those that did not run at the start, for the first step
	planned   time.Duration
	ended     func() bool // as in Options
	gone      bool        // they have
	tracer    ipitrace.Tracer
	collector *ipireport.Collector
	recorder  *ipireport.Recorder
	stopped   bool
}

// Start begins to count. It keeps the threads of this process away from the CPUs that are watched, if it
// can run elsewhere.
func Start(o Options) (*Session, error) {
	o.note(removedText(ipitracefs.RemoveStale()))
	if !o.Watch.Follow {
		o.ended = endOf(o.Watch.TGIDs) // before Open, which takes its time
	}
	named := o.Watch.Victims != nil
	if !named {
		victims, note, err := DefaultVictims()
		if err != nil {
			return nil, err
		}
		o.Watch.Victims = victims
		o.note(note)
	}
	var err error
	if o.Watch.Victims, o.offline, err = narrow(o.Watch.Victims, o.Watch.Filter, cpuDir, Possible()); err != nil {
		return nil, err
	}
	note, err := offlineNote(o.offline, named)
	if err != nil {
		return nil, err
	}
	o.note(note)
	if err := affinity.Avoid(o.Watch.Victims.Has); err != nil {
		o.note(fmt.Sprintf("what this command does itself may interrupt these CPUs: %v", err))
	}
	tracer, note, err := Open(o.Backend, o.Watch)
	if err != nil {
		return nil, err
	}
	o.note(note)
	return begin(o, tracer)
}

func begin(o Options, tracer ipitrace.Tracer) (*Session, error) {
	meta := newMeta(o, tracer)
	s := &Session{
		victims: o.Watch.Victims, offline: offlineOf(cpuDir, o.Watch.Victims.Or(o.offline), Possible()), down: o.offline,
		planned: o.Planned, ended: o.ended, tracer: tracer, collector: ipireport.NewCollector(meta),
	}
	if s.look(); s.gone {
		_, err := tracer.Close()
		return nil, errors.Join(fmt.Errorf("expected processes that run, found that %v ended before the trace began", meta.PIDs), err)
	}
	if o.Record != nil {
		var err error
		if s.recorder, err = ipireport.NewRecorder(o.Record, meta); err != nil {
			_, closed := tracer.Close()
			return nil, errors.Join(err, closed)
		}
	}
	return s, nil
}

// Victims returns the CPUs that are watched.
func (s *Session) Victims() ipi.CPUs { return s.victims }

// Collector has all that was read so far.
func (s *Session) Collector() *ipireport.Collector { return s.collector }

// Run reads at each interval, and calls each (if not nil) with what has happened, until the
// context is done or something fails; and, if no time was planned, until the processes that
// are watched have all ended.
func (s *Session) Run(ctx context.Context, interval time.Duration, each func(ipireport.Step, *ipireport.Report) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	looks := make(<-chan time.Time)
	if s.ended != nil {
		looker := time.NewTicker(lookInterval)
		defer looker.Stop()
		looks = looker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-looks:
			if !s.justEnded() {
				continue
			}
		}
		step, err := s.read()
		if err == nil && each != nil {
			err = each(step, s.collector.Report())
		}
		if err != nil || step.Ended && s.planned <= 0 {
			return err
		}
	}
}

// lookInterval is the time between two looks at whether processes have ended.
const lookInterval = 100 * time.Millisecond

// look comes before a snapshot is read, which then has all that the processes have sent.
func (s *Session) look() { s.gone = s.gone || s.ended != nil && s.ended() }

// justEnded looks, and reports whether the processes have ended since the look before.
func (s *Session) justEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.gone
	s.look()
	return s.gone && !was
}

func (s *Session) read() (ipireport.Step, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	snapshot, err := s.tracer.Read()
	if err != nil {
		return ipireport.Step{}, err
	}
	return s.add(snapshot)
}

func (s *Session) add(snapshot ipi.Snapshot) (ipireport.Step, error) {
	snapshot.Offline = s.offline().Or(s.down)
	s.down = nil
	step := s.collector.AddEnded(snapshot, s.gone)
	if s.recorder == nil {
		return step, nil
	}
	return step, s.recorder.Write(step)
}

// Stop ends the trace. The report is whole even if there is an error, up to the last
// snapshot that could be read.
func (s *Session) Stop() (*ipireport.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return s.collector.Report(), nil
	}
	s.stopped = true
	s.look()
	snapshot, err := s.tracer.Close()
	if err == nil {
		_, err = s.add(snapshot)
	}
	if s.recorder != nil {
		err = errors.Join(err, s.recorder.Close())
	}
	for _, text := range s.tracer.Missing() {
		s.collector.Note(text)
	}
	return s.collector.Report(), err
}
