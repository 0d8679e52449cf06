package scale

// BuiltinMachine is where the built-in parameters were measured.
const BuiltinMachine = "built-in figures of a 2-core x86-64 VM (KVM, AMD family 26), Linux 6.18, Go 1.26"

// Builtin returns the parameters that hold without a calibration. They were
// measured by `quietpatch sim --scale --calibrate`.
func Builtin() Params {
	const b, a = SourceBuiltin, SourceAssumed
	return Params{
		{SyncBase, 473, "ns", "a sync (membarrier SYNC_CORE and IRETQ) while no other CPU runs the program", b, 471, 474, 300, ""},
		{IPISend, 2597, "ns", "to reach one more CPU: from the call to the stop of the busy CPU, less sync_base; delivery included, so an upper bound", b, 2437, 2938, 3000, ""},
		{IPILatency, 5393, "ns", "from that stop until the call returns: the slowest CPU has answered", b, 5333, 5623, 3000, ""},
		{IPIPause, 5168, "ns", "how long one IPI keeps the busy CPU from its program", b, 5108, 5398, 3000, ""},
		{Serialize, 41.0, "ns", "one serializing IRETQ: what a deferred CPU makes up for when it comes back", b, 41.0, 41.1, 300, ""},
		{Defer, 4.48, "ns", "one compare-and-swap on the word of a deferred CPU, per sync", b, 4.48, 4.50, 300, "measured between CPUs that share their caches; more where they do not"},
		{Ready, 9875, "ns", "before a flip that traps: ask for a tracer, check the handler", b, 9862, 10058, 300, ""},
		{Compare, 1.41, "ns", "compare the bytes of one site", b, 1.40, 1.42, 300, ""},
		{Publish, 27.0, "ns", "make and publish the vector entry of one site", b, 26.9, 27.1, 300, ""},
		{Engine, 3.04, "ns", "the engine's own work each time it passes over a site; fitted to flips by store on alias", b, 0, 0, 0, ""},
		{PokeProcmem, 956, "ns", "write one byte with procmem, compared before and read back", b, 938, 976, 300, ""},
		{TailProcmem, 975, "ns", "write six bytes with procmem", b, 965, 996, 300, ""},
		{PokeAlias, 9.07, "ns", "write one byte with alias, in text that a busy CPU runs", b, 8.99, 9.17, 300, "measured between CPUs that share their caches; more where they do not"},
		{TailAlias, 11.9, "ns", "write six bytes with alias, in text that a busy CPU runs", b, 11.8, 12.0, 300, "measured between CPUs that share their caches; more where they do not"},
		{Trap, 1814, "ns", "one trap taken and emulated", b, 1808, 1820, 300, ""},
		{CheckRate, 1e6, "1/s", "checks of the flipped sites by one busy CPU", a, 0, 0, 0, "a property of the program, rounded up from the demo: 56 checks in each of some 15,000 requests per second and CPU"},
	}
}
