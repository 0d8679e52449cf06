// Package failpoint has fault-injection points that stay in production builds.
//
// gofail and pingcap/failpoint rewrite a program's source to put their points
// in and take them out again, because a point that is off costs a lock, or a
// lock and a map. Here a point stands behind a static key: while it is off, its
// check is that of a key that is off (package statickey), so it can stay where
// it is.
//
//	var failSend failpoint.Point
//
//	var _ = failpoint.Register(&failSend, "net/send", "fails the sending of a packet")
//
//	func (c *conn) send(p packet) error {
//		if v, ok := failSend.Eval(); ok {
//			return v.Err()
//		}
//		...
//	}
//
// Eval is one call and not a check followed by an evaluation, because the
// compiler inlines it to just that: a read of the key, a branch, and out of the
// way the call that interprets the terms. There is nothing that a caller could
// get wrong by leaving out the check. What is said of keys holds here, too: a
// point should be a package-level variable, and Eval be called on it directly.
//
// # Permission
//
// Nothing can be turned on unless the process allows it: the program calls
// [Allow], or the environment has QUIETPATCH_FAILPOINTS, either "allow" or a
// list of points to turn on. [Forbid] turns all off, for good or until the next
// Allow. Turning off needs no permission.
//
// # Terms
//
// What a point does is said in the language of gofail and pingcap/failpoint,
// which have it from FreeBSD's fail(9):
//
//	list   = [ name "=" terms ] { ";" [ name "=" terms ] }
//	terms  = term { "->" term }
//	term   = { number "%" | count "*" } action [ "(" [ value ] ")" ]
//	action = "off" | "return" | "sleep" | "panic" | "print" | "pause"
//	value  = int | string as in Go | "true" | "false"
//
// An evaluation does the first term whose modifiers all allow it, asked from
// left to right: a probability by chance, a count as often as it says. If none
// does, nothing happens.
//
//	off            nothing
//	return(v)      the code at the point runs; v is its value, if there is one
//	sleep(100)     sleeps 100 ms; also sleep("1.5s") and sleep(10s)
//	panic("text")  panics with the string "failpoint panic: text"
//	print("text")  writes to the standard logger (package log)
//	pause          waits until the point is turned off or gets other terms
//
// So 25%3*return("disk full")->10%sleep(100) fails a quarter of the evaluations
// until three have failed, and then makes one in ten slow.
//
// panic is the only panic of this package, and it is one that somebody asked
// for by name.
//
// # Differences
//
// Where the two differ, both forms are understood: 25%return(1) is an error in
// gofail, pause is not known there. An empty entry in a list (";;") is skipped, as
// in gofail. Otherwise:
//
//   - Only return makes Eval report ok, as in gofail and fail(9). In
//     pingcap/failpoint off, sleep, print and pause run the code at the point, too.
//   - return without a value is ok everywhere; in gofail it is lost before "->".
//   - Evaluations do not wait for one another. In both others a sleep or
//     pause makes every other evaluation of the point wait behind it.
//   - sleep and pause end when the point is turned off, when it gets other terms,
//     and when the context of [Point.EvalContext] is done.
//   - Terms that cannot work are refused when they are set, and nothing is changed
//     then: a missing action (3*), sleep(true), off(1), 250%, a trailing "->". The
//     others accept these and ignore them or fail later.
//   - Strings may hold escapes, "=" and ";".
//   - break, which starts gdb, is refused: a pause leaves time to attach one.
//   - Without a hook ([WithHook]) EvalContext is Eval; in pingcap/failpoint it is off.
//
// # Place
//
// The package stands on statickey alone. It does not listen or serve: the HTTP
// interface is package failhttp, so that programs without one do not link
// net/http. It starts no goroutines, and ends no program but by a panic term.
package failpoint
