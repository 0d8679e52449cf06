// Package sim tries the interleavings of the protocol.
//
// It runs the very state machine that production runs (internal/protocol), and
// the arithmetic of the context word (internal/tracking), in simulated worlds: one
// patcher, threads on CPUs, sites, batches. What production does in one effect is
// cut into atoms (one byte written, one CPU serialized, one word read by the trap
// handler), and at each moment anybody who could take an atom may be the one who
// does.
//
// # The parts
//
//	World     who is there, and what may happen how often     world.go, *worlds.go
//	state     one moment                                      state.go
//	model     which atoms are possible, and what they do      model.go
//	          of the patcher                                  patcher.go, sync.go, grace.go
//	          of syncs that leave CPUs out                    percpu.go
//	          of a thread                                     thread.go, handler.go, isolate.go
//	unmaps    deferred unmaps, a small model of its own       unmap.go
//	          of releases                                     release.go
//	          of all else that callers and threads do         unmapthread.go
//	quiesce   grace periods from context words, another       quiesce.go
//	puzzle    what can be done with a small model             small.go, smallwalk.go
//	checkers  one invariant each                              check.go
//	Mutant    the protocol with one thing wrong               mutant.go
//	Explore   every state of a small world                    explore.go
//	Find      the shortest way to a violation or an event     explore.go
//	Walk      one way through a larger world, from a seed     walk.go
//	Scenario  the situations that docs/PROTOCOL.md draws      scenario.go
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
// sync returns; on a CPU that runs none, the next thread of the process
// serializes before it runs. The per-CPU form: each CPU in turn is interrupted
// if it runs a thread of the process at that moment. See reach for what that
// stands on. On the patcher's own CPU that form does nothing, and the patcher may be
// taken off and put elsewhere between any two atoms: see percpu.go.
//
// # What the model leaves out
//
// See docs/PROTOCOL.md, "The model". The package is not linked into any product
// but the command that runs it. It reads no clock and makes no system call.
package sim
