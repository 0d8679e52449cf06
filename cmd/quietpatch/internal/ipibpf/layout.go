package ipibpf

// The structures that ipi.bpf.c shares. A test compares them with the object's BTF.

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
	Comm      [nameSize]byte
	Thread    [nameSize]byte
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

type rawThreadKey struct {
	Func      uint64
	CPU       uint32
	Kind      uint32
	TGID, TID uint32
	Comm      [nameSize]byte
	Thread    [nameSize]byte
}

type rawStep struct {
	Value                   [2]uint64
	Field, Op, When, Target uint8
	Set                     uint32
}

// Sizes of the kernel's side.
const (
	words    = 128 // of 64 CPUs; ipi.CPUsMax
	stepsMax = 32
	setsMax  = 8
	nameSize = 16
)

// enum field; its operators are those of package ipifilter.
const (
	fieldCPU uint8 = iota
	fieldSender
	fieldTID
	fieldTGID
	fieldKind
	fieldFunc
	fieldThread
	fieldComm
	fieldCPUIn
	fieldSenderIn
	fieldMask
)

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
	inWorker
	inSoftirq
	inTimer
	inIRQ
)
