// Package kv is the application that the demo serves: a small document store
// over HTTP with search, in which every stage of a request stands behind one
// key, in the manner of the kernel's sched_schedstats.
//
//	if stageStats.Enabled() {
//		c.rec.add(stageMethod)
//	}
//
// Each of the StageCount checks is passed exactly once by every request that
// is answered with 200. So a response must report either no stage or all of
// them, unless the key changed while the request was under way.
//
// Place in the flow: internal/demo serves a Store and sends it requests, and
// flips the key that Key returns. The package knows nothing about flips,
// strategies or measuring, and it may not change the key itself.
package kv
