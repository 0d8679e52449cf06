package sim

// unmapWorlds are small worlds of deferred unmaps.
func unmapWorlds() []World {
	return []World{
		{Name: "unmap: a thread and a caller", Unmap: UnmapWorld{Threads: 1, Callers: 1, Visits: 3, Unmaps: 3}},
		{Name: "unmap: two threads and a caller", Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 2, Unmaps: 2}},
		{Name: "unmap: two threads that unmap as well", Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 1, Unmaps: 1, Inside: 1}},
		{Name: "unmap: a thread and two callers", Unmap: UnmapWorld{Threads: 1, Callers: 2, Visits: 2, Unmaps: 1, Inside: 1}},
		{Name: "unmap: bounds", Unmap: UnmapWorld{Threads: 1, Callers: 2, Visits: 2, Unmaps: 2, Bound: 1, Timer: true}},
		{Name: "unmap: a counter of full width", Wide: true, Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 2, Unmaps: 1}},
		{Name: "unmap: returns release one", Unmap: UnmapWorld{Threads: 1, Callers: 1, Visits: 3, Unmaps: 3, PerReturn: 1, Nested: 1}},
		{Name: "unmap: returns of two threads release one", Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 2, Unmaps: 2, PerReturn: 1}},
		{Name: "unmap: returns release two, and a timer", Unmap: UnmapWorld{Threads: 1, Callers: 1, Visits: 2, Unmaps: 4, PerReturn: 2, Timer: true}},
		{Name: "unmap: two threads and a timer", Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 1, Unmaps: 2, PerReturn: 1, Timer: true}},
		{Name: "unmap: a thread does not wait for ever", Unmap: UnmapWorld{Threads: 1, Callers: 2, Visits: 2, Unmaps: 2, GivesUp: true}},
		{Name: "unmap: two threads do not wait for ever", Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 2, Unmaps: 2, GivesUp: true}},
		{Name: "unmap: threads end", Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 1, Unmaps: 2, PerReturn: 1, Ends: 1}},
		{Name: "unmap: threads end, others begin", Unmap: UnmapWorld{Threads: 1, Callers: 2, Visits: 2, Unmaps: 1, PerReturn: 1, Ends: 2, GivesUp: true}},
		{Name: "unmap: all of it", Unmap: UnmapWorld{
			Threads: 1, Callers: 1, Visits: 2, Unmaps: 3, Inside: 1, Nested: 1, Ends: 2, PerReturn: 1, Bound: 2, Timer: true, GivesUp: true,
		}},
	}
}

func unmapMutants() []Mutant {
	one := World{Name: "tiny unmap", Unmap: UnmapWorld{Threads: 1, Callers: 1, Visits: 2, Unmaps: 1}}
	two, callers, bound := one, one, one
	two.Unmap.Threads = 2
	callers.Unmap.Callers = 2
	bound.Unmap.Unmaps, bound.Unmap.Bound = 2, 1
	more, some, door, ends, timer := one, one, one, one, one
	more.Unmap.Unmaps = 3
	some.Unmap.Unmaps, some.Unmap.PerReturn = 3, 1
	door.Unmap.Unmaps, door.Unmap.GivesUp = 3, true
	ends.Unmap.Unmaps, ends.Unmap.PerReturn, ends.Unmap.Ends = 3, 1, 1
	timer.Unmap.Unmaps, timer.Unmap.PerReturn, timer.Unmap.Timer = 2, 1, true
	return []Mutant{
		{Name: "unmap-looks-before-it-puts", World: one, flaw: looksBeforeItPuts},
		{Name: "unmap-looks-then-sets", World: one, flaw: looksThenSets},
		{Name: "unmap-never-raises", World: one, flaw: neverRaises},
		{Name: "unmap-looks-once", World: one, flaw: looksOnce},
		{Name: "unmap-looks-only-before-the-first", World: more, flaw: looksOnlyFirst},
		{Name: "unmap-asks-only-before-the-first", World: more, flaw: asksOnlyOnce},
		{Name: "unmap-takes-the-whole-list", World: door, flaw: takesAll},
		{Name: "unmap-sets-only-once", World: one, flaw: setsOnlyOnce},
		{Name: "unmap-lists-threads-too-early", World: ends, flaw: listsTooEarly},
		{Name: "unmap-lowers-early", World: one, flaw: lowersEarly},
		{Name: "unmap-flag-for-a-count", World: callers, flaw: oneFlag},
		{Name: "unmap-walks-away", World: callers, flaw: walksAway},
		{Name: "unmap-hands-nothing-on", World: two, flaw: handsNothingOn},
		{Name: "unmap-raises-at-once", World: one, flaw: raisesAtOnce},
		{Name: "unmap-reads-work-before-the-swap", World: one, flaw: readsWorkFirst},
		{Name: "unmap-releases-before-the-swap", World: one, flaw: releasesBeforeSwap},
		{Name: "unmap-does-not-wait", World: one, flaw: doesNotWait},
		{Name: "unmap-asks-before-the-swap", World: one, flaw: asksBeforeTheDoor},
		{Name: "unmap-gives-up-in-silence", World: door, flaw: givesUpInSilence},
		{Name: "unmap-drops-the-bit-with-leftovers", World: some, flaw: dropsBit},
		{Name: "unmap-loser-of-the-lock-drops-the-bit", World: one, flaw: loserDropsBit},
		{Name: "unmap-goes-out-without-the-bit", World: some, flaw: goesOutClean},
		{Name: "unmap-releases-all-on-return", World: some, flaw: releasesAll},
		{Name: "unmap-ends-unsettled", World: ends, flaw: endsUnsettled},
		{Name: "unmap-ends-with-few", World: ends, flaw: endsWithFew},
		{Name: "unmap-ends-if-unlocked", World: ends, flaw: endsIfUnlocked},
		{Name: "unmap-timer-runs-once", World: timer, flaw: timerRunsOnce},
		{Name: "unmap-take-stops-the-timer", World: timer, flaw: takeStopsTimer},
		{Name: "unmap-ignores-its-bound", World: bound, flaw: ignoresBound},
	}
}

// quiesceWorlds are small worlds of grace periods.
func quiesceWorlds() []World {
	return []World{
		{Name: "grace periods: a thread, any number of wraps", Quiesce: QuiesceWorld{Threads: 1, Guest: true, Ends: true, Work: true}},
		{Name: "grace periods: two threads, any number of wraps", Quiesce: QuiesceWorld{Threads: 2, Work: true}},
		{Name: "grace periods: two threads that end", Quiesce: QuiesceWorld{Threads: 2, Ends: true}},
		{Name: "grace periods: a counter of full width", Wide: true, Quiesce: QuiesceWorld{Threads: 1, Visits: 5, Guest: true, Ends: true, Work: true}},
	}
}

func quiesceMutants() []Mutant {
	one := World{Name: "tiny grace periods", Quiesce: QuiesceWorld{Threads: 1, Guest: true, Ends: true, Work: true}}
	return []Mutant{
		{Name: "passed-by-states-alone", World: one, flaw: comparesStates},
		{Name: "passed-by-whole-words", World: one, flaw: comparesWords},
		{Name: "counter-of-one-bit", World: one, flaw: oneBit},
		{Name: "guest-moves-the-counter", World: one, flaw: switchCounts},
		{Name: "snapshot-before-the-update", World: one, flaw: earlySnapshot},
		{Name: "waits-for-who-has-ended", World: one, flaw: waitsForEnded},
	}
}
