package trap

// VectorMax is how many sites one vector holds (the kernel's
// TEXT_POKE_ARRAY_MAX is 256; ours costs bss that is touched when used).
const VectorMax = 1024

// Entry says how a thread goes on that hit the trap byte at Addr. All fields
// are plain words because assembly reads them.
type Entry struct {
	Addr       uintptr // of the trap byte
	Resume     uintptr // where it goes on: behind the site, or at the callee of a call
	Push       uintptr // what a call leaves on the stack: the address behind it; 0 for none
	Slot       uintptr // offset in the ucontext of the register to write
	Value      uint64  // what to write there
	FlagsClear uint64  // RFLAGS bits to clear, then
	FlagsSet   uint64  // to set
	Allowed    uint64  // not 0: isolated threads may run the site, too
}

// Counts says what the handler has seen since the program started.
type Counts struct {
	Hits    uint64 // H2: emulated
	Late    uint64 // H4: executed again after the batch was over
	Retried uint64 // H3: executed again while the vector changed
	Foreign uint64 // H1, H5: handed to the handler before us
}

// slots are the offsets of the 16 general registers in the ucontext, by
// hardware number (AX CX DX BX SP BP SI DI R8..R15): the kernel's struct
// sigcontext_64 at offset 40, arch/x86/include/uapi/asm/sigcontext.h.
var slots = [16]uintptr{144, 152, 136, 128, 160, 120, 112, 104, 40, 48, 56, 64, 72, 80, 88, 96}

// Slot returns the Slot of an entry that writes hardware register reg.
func Slot(reg uint8) uintptr { return slots[reg&15] }

// NoSlot is the Slot of an entry that writes no register: the handler writes
// RIP there, and then the real RIP over it.
const NoSlot = ripOffset

// The offsets of RIP and RSP in the ucontext.
const (
	ripOffset = 168
	rspOffset = 160
)
