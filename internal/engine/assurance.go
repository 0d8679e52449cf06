package engine

import "github.com/quietpatch/quietpatch/internal/protocol"

// Levels of assurance: what a strategy stands on, on a given CPU. The sources
// are in docs/PROTOCOL.md, "What the manuals allow".
const (
	assurePromised = "promised by the CPU's manual"
	assureRelied   = "relied upon by other production systems"
	assureMeasured = "measured only"
)

// assurePerCPU: syncs that leave CPUs out. membarrier's form for one CPU promises restarts of
// restartable sequences; that a CPU has serialized when it is back from the interrupt is measured.
const assurePerCPU = assureMeasured

func assurance(s protocol.Strategy, vendor string) string {
	switch {
	case vendor == vendorAMD:
		// AMD APM vol. 2, 7.6.1: a single store inside an aligned quadword.
		return assurePromised
	case vendor == vendorIntel:
		// int3: the kernel since 2013. store: HotSpot, LLVM XRay.
		return assureRelied
	case s == protocol.Store:
		return assureMeasured
	}
	return assureRelied
}

const vendorIntel = "GenuineIntel"
