// Package welch compares the means of two series of measurements by Welch's t-test,
// which does not expect them to scatter alike.
//
// Place in the flow: `quietpatch bench calls` hands it the times of a workload
// with and without promotion. It knows nothing about times, and may not decide
// what is significant.
package welch
