package scale

// The texts that go with every result.

func assumptions() []string {
	return []string{
		"One CPU flips. Every other CPU runs a thread of the program, which checks the flipped sites, evenly spread, at check_rate_per_s.",
		"How a sync grows with the number of CPUs n cannot be measured on a few. The time of a flip assumes sends one after the other and" +
			" answers that overlap: base + n*send + latency. Its lower bound: one send reaches all. Its upper bound: no answer overlaps another.",
		"Deferred: isolated CPUs are left out of every sync. membarrier can name one CPU or all, so a deferred sync calls it once for each" +
			" CPU that is not isolated. Its lower bound: a kernel that takes a set of CPUs.",
		"All other costs are those of the machine that was measured, whatever the number of CPUs.",
	}
}

func leavesOut() []string {
	return []string{
		"NUMA, caches shared by few CPUs and CPUs without a shared clock: IPIs and lines of text that cross sockets take longer.",
		"CPUs that answer late: interrupts off, a hypervisor that runs somebody else, deep sleep. A sync waits for the slowest.",
		"The misses that changed text causes: each busy CPU fetches the lines again, and may flush its pipeline. Only IPIs and traps count as pause.",
		"Contention: traps of many CPUs at once, other senders of IPIs, the lock of /proc/self/mem's memory map (mmap_lock).",
		"The search for sites and their arming at the first Set of a key, and the move of pages by alias: once per key.",
		"CPUs that idle or run other programs: they get no IPI.",
		"Traps taken after the first byte is back but before the last sync (late traps).",
		"A CPU that is in a trap when the IPI comes answers later: with one site at a time a busy thread that does nothing but pass through" +
			" the sites made flips take up to 40 percent longer than predicted.",
		"Failures: the way back, and the second try one site at a time.",
		"Deferral itself, which is modelled and not measured: what entering and leaving isolation costs, and that the per-CPU call" +
			" (RSEQ) promises no core serialization.",
	}
}
