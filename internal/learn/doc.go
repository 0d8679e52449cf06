// Package learn decides which targets an indirect call site gets, from counts.
//
// It is the learning of the kernel series "dynamic indirect call promotion"
// (Edward Cree, RFC v2, February 2019: dynamic_call_update), and what that
// left open. It is arithmetic on values: the caller reads the counters, says
// what time it is, and patches.
//
// # Counts
//
// While a site is counted, its stub counts into one [Line] per CPU: hits of the
// targets that are patched in, misses by target for the first four others
// that come, and the rest in a catch-all. The stub uses no atomics, and lines
// are used again for other sites, so any count may be stale or lost. A wrong
// count costs speed, never correctness: the stub compares before it jumps.
//
// # Rules
//
// Those of the series:
//
//	ripe      specific misses of one CPU reach Options.Misses: add up the counts
//	          of all CPUs, choose the most popular targets
//	drop      the catch-all of one CPU gets to Options.CatchAll first: that CPU's
//	          counts are dropped, other targets get the four places
//
// And beyond:
//
//	window    a window of Options.Window with Options.Enough calls decides, too,
//	          so that a site whose calls all hit is confirmed. Every decision
//	          and every end of a window clears the counts.
//	cost      how many targets, from none to Options.Targets, is the number with
//	          the lowest expected cost per call ([Costs]).
//	margin    a choice replaces the one in place only when it is better by
//	          Options.Margin on the same counts. The order of comparison is part
//	          of the choice.
//	left      targets that gain less than the margin are not patched in: the site
//	alone     gets its original code back. Targets in place stay down to half the
//	          margin, so that a site near the line does not go to and fro.
//	quiet     a choice confirmed Options.Stable times in a row is kept and counted
//	          no more.
//	cold      so is a site with fewer than Options.Few calls per window.
//	backoff   a site that is not counted wakes up after Options.Wake, then twice
//	          that, up to Options.WakeMax. The first choice of targets starts
//	          over; so does a change of targets that were confirmed at many
//	          wake-ups in a row. A site that flaps is looked at less and less.
//
// The series adds the misses to targets that are in place to the same list;
// so does this package. It keeps the hits of a CPU whose misses it drops,
// which makes the present targets look better than they are; here the whole
// line goes.
//
// # States
//
//	Cold --Start--> Counting --confirmed--------> Quiet
//	                   |    \---no gain---------> LeftAlone
//	                   |     \--hardly called---> Cold
//	                   \--new targets--> Counting
//
// Quiet, LeftAlone and Cold go back to Counting when the [Scheduler] picks the
// site. Only a Counting site costs the program anything to learn.
//
// # One poll
//
//	for id := range scheduler.Counted() {
//		v := sites[id].Look(copyOfLines(id), now)
//		// v.Change: patch. Then v.ClearAll, v.Clear: zero these lines.
//		if !v.Counting {
//			scheduler.Sleep(id, v.Wake)
//		}
//	}
//	for id, ok := scheduler.Next(now); ok; id, ok = scheduler.Next(now) {
//		v := sites[id].Start(now) // patch, clear
//	}
//	// come back after scheduler.Wait(now)
//
// Lines are cleared after the site is patched: until then the old stub counts
// hits of the old targets into the same places.
//
// The package makes no system call, starts no goroutine, reads no clock (of
// package time it uses the type Duration), knows no machine code, and does not
// allocate where a verdict changes nothing.
package learn
