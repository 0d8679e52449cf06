package ipibpf

// The structures that ipi.bpf.c shares. A test compares them with the object's BTF.

const words = 128 // of 64 CPUs; ipi.CPUsMax

type rawOrigin struct {
	Cgroup    uint64
	Work      uint64
	Detail    uint64
	NR        int32
	TGID, TID uint32
	Context   uint8
	Softirq   uint8
	Compat    uint8
	Known     uint8
	Comm      [16]byte
	Thread    [16]byte
}

type rawKey struct {
	Origin rawOrigin
	Via    [16]byte
	Func   uint64
	CPU    uint32
	Stack  int32
	Kind   uint32
	_      uint32
}

type rawValue struct {
	IPIs, Queued uint64
}

type rawCostKey struct {
	Func uint64
	CPU  uint32
	Kind uint32
}

type rawCost struct {
	Runs, NS uint64
}

// enum kind
const (
	kindCall uint32 = iota
	kindResched
	kindIRQWork
)

// enum context
const (
	inSyscall uint8 = iota
	inUser
	inKthread
	inSoftirq
	inTimer
	inIRQ
)
