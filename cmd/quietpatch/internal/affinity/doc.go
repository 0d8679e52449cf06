// Package affinity says on which CPUs this process may run, keeps a thread on one of them, and the
// process off others. The demo and the calibration measure what one CPU notices of another, and
// a trace is not to interrupt the CPUs that it watches; it is theirs, and knows nothing of keys.
package affinity
