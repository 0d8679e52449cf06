package learn

import (
	"iter"
	"math"
	"time"
)

// Scheduler says which sites are counted when, so that a program with more sites
// than may be counted at once learns them all in turn. New sites go first, then
// the one that has been due for longest.
type Scheduler struct {
	rules   *Rules
	waiting queue
	counted []int
	place   []place // by id
	seq     uint64
}

// place is where a site is.
type place struct {
	in    where
	index int // in waiting or counted
}

type where uint8

const (
	nowhere where = iota // removed
	inWaiting
	inCounted
)

// neverCounted is the due time of new sites: before every other.
const neverCounted = time.Duration(math.MinInt64)

// Scheduler returns a scheduler without sites.
func (r *Rules) Scheduler() *Scheduler { return &Scheduler{rules: r} }

// Add adds a new site and returns its id: 0, 1, 2 and so on.
func (s *Scheduler) Add() int {
	id := len(s.place)
	s.place = append(s.place, place{})
	s.push(id, neverCounted)
	return id
}

// Next takes a site that is due, if there is one and there is room for it. The
// site is counted until Sleep or Remove: call its Start.
func (s *Scheduler) Next(now time.Duration) (id int, ok bool) {
	if len(s.counted) >= s.rules.o.CountedMax || len(s.waiting) == 0 || s.waiting[0].due > now {
		return 0, false
	}
	id = s.waiting[0].id
	s.waiting.remove(0, s.place)
	s.place[id] = place{inCounted, len(s.counted)}
	s.counted = append(s.counted, id)
	return id, true
}

// Sleep says that a counted site is not counted any more, until wake. It reports
// whether the site was counted.
func (s *Scheduler) Sleep(id int, wake time.Duration) bool {
	if !s.is(id, inCounted) {
		return false
	}
	s.uncount(id)
	s.push(id, wake)
	return true
}

// Remove takes a site out for good. It reports whether the site was there.
func (s *Scheduler) Remove(id int) bool {
	switch {
	case s.is(id, inCounted):
		s.uncount(id)
	case s.is(id, inWaiting):
		s.waiting.remove(s.place[id].index, s.place)
	default:
		return false
	}
	s.place[id] = place{}
	return true
}

// Counted ranges over the sites that are counted. The loop may call Sleep and
// Remove for the site at hand.
func (s *Scheduler) Counted() iter.Seq[int] {
	return func(yield func(int) bool) {
		// From the end: uncount fills a gap from there.
		for i := len(s.counted) - 1; i >= 0; i-- {
			if !yield(s.counted[i]) {
				return
			}
		}
	}
}

// Len returns how many sites are counted, and how many wait.
func (s *Scheduler) Len() (counted, waiting int) { return len(s.counted), len(s.waiting) }

// Wait returns how long the next poll can wait.
func (s *Scheduler) Wait(now time.Duration) time.Duration {
	o := &s.rules.o
	switch {
	case len(s.counted) > 0:
		return o.Poll
	case len(s.waiting) == 0:
		return o.WakeMax
	case s.waiting[0].due <= now:
		return 0
	}
	// Sites that wake up shortly after one another are patched in one batch.
	return min(max(s.waiting[0].due-now, o.Poll), o.WakeMax)
}

func (s *Scheduler) is(id int, in where) bool {
	return id >= 0 && id < len(s.place) && s.place[id].in == in
}

func (s *Scheduler) push(id int, due time.Duration) {
	s.waiting.push(waiting{due, s.seq, id}, s.place)
	s.seq++
}

// uncount fills the site's place in counted with the last one.
func (s *Scheduler) uncount(id int) {
	at, end := s.place[id].index, len(s.counted)-1
	moved := s.counted[end]
	s.counted[at] = moved
	s.place[moved].index = at
	s.counted = s.counted[:end]
}
