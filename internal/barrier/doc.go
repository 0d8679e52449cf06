// Package barrier makes CPUs serialize.
//
// A sync is the moment after which no CPU that runs the program can still
// execute bytes that it fetched before. The engine asks for one wherever the
// protocol says so; this package knows how, and not what for.
//
// [SyncCore] stands on the promise of membarrier(2),
// MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: when it returns, every running
// thread of the process has executed a core-serializing instruction, and every
// other one will before it runs user code again. It sends one interrupt to
// each CPU that runs a thread of the process, and none to any other.
//
// The package may not look at text, keys or sites.
package barrier
