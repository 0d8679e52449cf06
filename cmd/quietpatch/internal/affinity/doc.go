// Package affinity says on which CPUs this process may run, and keeps a thread on one
// of them. The demo and the calibration measure what one CPU notices of another; it is
// theirs, and knows nothing of keys.
package affinity
