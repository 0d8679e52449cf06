// Package sim tries every interleaving of the protocol.
//
// It runs the very state machine that production runs (internal/protocol) in
// small worlds: one patcher, one or two threads on CPUs of their own, one or two
// sites, one or two batches. What production does in one effect is cut into
// atoms (one byte written, one CPU serialized, one word read by the trap
// handler), and at each moment every thread that could take a step takes it, in
// every order.
//
// # What a CPU may see
//
// For every byte of a site a CPU may execute any value that the byte has had
// since that CPU last serialized, and another one for the byte next to it. That
// is more than any manual allows, and covers fetch buffers that are refilled at
// any time, byte by byte, in any order. Serializing leaves the value that is in
// memory. Data reads (the trap handler looking at the trap byte) see memory.
//
// # What a sync does
//
// What membarrier(2) promises for SYNC_CORE and no more: the CPUs that run a
// thread of the process serialize, one after the other, at some time before the
// sync returns; a thread that is off its CPU serializes before it runs again.
//
// # What the model leaves out
//
// Instructions of more than two bytes (a site has a head and a tail, each
// written as a whole), threads that move to another CPU, signals other than the
// trap, and time. Isolated threads are not in it yet.
//
// The package is not linked into any product. It reads no clock and makes no
// system call.
package sim
