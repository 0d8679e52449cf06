//go:build linux && amd64

package barrier

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Commands of membarrier(2) for single CPUs (Linux 5.10).
const (
	cmdPrivateExpeditedRseq         = 1 << 7
	cmdRegisterPrivateExpeditedRseq = 1 << 8
	flagCPU                         = 1 << 0
)

// ErrPerCPU is wrapped by the errors of [RegisterPerCPU] where CPUs cannot be synced
// one by one.
var ErrPerCPU = errors.New("no membarrier by CPU")

// perCPU counts.
var (
	byCPU    atomic.Uint64 // syncs that left CPUs out
	switched atomic.Uint64 // tries that were not good because the thread was switched out
	unspared atomic.Uint64 // syncs that should have left CPUs out and did not
	cpus     atomic.Int32  // above the number of every CPU; 0: not registered
)

// PerCPU are counts of syncs by CPU.
type PerCPU struct {
	Syncs    uint64 // that left CPUs out
	Repeated uint64 // tries that had to be made again, because the thread had been switched out
	Unspared uint64 // syncs that went to all CPUs after several tries
}

// PerCPUCounts returns the counts.
func PerCPUCounts() PerCPU {
	return PerCPU{Syncs: byCPU.Load(), Repeated: switched.Load(), Unspared: unspared.Load()}
}

// HavePerCPU reports whether [RegisterPerCPU] has succeeded.
func HavePerCPU() bool { return cpus.Load() > 0 }

// refused is the last error of RegisterPerCPU.
var refused atomic.Pointer[error]

// PerCPUError says why CPUs cannot be synced one by one; nil if they can.
func PerCPUError() error {
	if HavePerCPU() {
		return nil
	}
	if err := refused.Load(); err != nil {
		return *err
	}
	return fmt.Errorf("%w: the kernel has not been asked for it", ErrPerCPU)
}

// RegisterPerCPU tells the kernel that the process will sync CPUs one by one. It may
// be called again. [Register] must have succeeded: what makes a thread serialize that
// comes to a CPU later is that registration. possible is a number above that of every CPU
// there may ever be.
func RegisterPerCPU(possible int) error {
	err := registerPerCPU()
	if err != nil {
		refused.Store(&err)
		return err
	}
	cpus.Store(int32(possible))
	return nil
}

func registerPerCPU() error {
	have, err := membarrier(cmdQuery)
	if err != nil {
		return fmt.Errorf("%w: membarrier(QUERY): %w", ErrPerCPU, err)
	}
	if have&cmdPrivateExpeditedRseq == 0 {
		return fmt.Errorf("%w: the kernel offers commands %#x, PRIVATE_EXPEDITED_RSEQ is %#x (Linux 5.10 or later with CONFIG_RSEQ is needed)",
			ErrPerCPU, have, cmdPrivateExpeditedRseq)
	}
	if _, err := membarrier(cmdRegisterPrivateExpeditedRseq); err != nil {
		return fmt.Errorf("%w: membarrier(REGISTER_PRIVATE_EXPEDITED_RSEQ): %w", ErrPerCPU, err)
	}
	return nil
}

// triesMax is how often a sync by CPU is begun before it is made for all CPUs at
// once. A try takes some tens of microseconds and fails if the scheduler takes the CPU
// away in that time.
const triesMax = 4

// SyncExcept makes every CPU that may run the program execute a core-serializing
// instruction, except those in spared: what runs there has promised to do so itself
// before it runs text that was changed, and no other thread of the process can come
// there. It reports whether they were left out; if not, all were synced.
//
// It stands on less than [SyncCore]: the per-CPU form of membarrier promises restarts
// of restartable sequences, not serialization. What serializes is the return from the
// interrupt that it sends, an IRET where the thread goes on that was interrupted; and for a
// thread that comes to a CPU later, the registration for SYNC_CORE. Where the interrupt makes the
// kernel switch to another thread of the process that was in a system call, that one comes
// back by SYSRET: for this SYNC_CORE serializes in the interrupt itself (Linux 758c9373d841), and
// this form does not. docs/PROTOCOL.md, K.
//
// The CPU of the caller needs care: there the kernel calls a function and interrupts
// nothing, so this thread executes IRETQ. If it was moved on the way, one of its CPUs
// may have been asked while it was there: then all of it is done again.
func SyncExcept(spared []int) (left bool, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := int(cpus.Load())
	if n == 0 {
		return false, SyncCore()
	}
	for range triesMax {
		stayed, err := syncOthers(n, spared)
		if err != nil {
			break // the promise is worth more than the quiet
		}
		if stayed {
			byCPU.Add(1)
			syncs.Add(1)
			return true, nil
		}
		switched.Add(1)
	}
	unspared.Add(1)
	return false, SyncCore()
}

// syncOthers syncs all CPUs but those spared, this one by IRETQ. It reports whether the
// thread stayed where it was from beginning to end.
func syncOthers(cpus int, spared []int) (stayed bool, err error) {
	before, err := switches()
	if err != nil {
		return false, err
	}
	self := CPU()
	for cpu := range cpus {
		if cpu == self || slices.Contains(spared, cpu) {
			continue
		}
		// A CPU that is offline, or does not run the process now, is none of its business.
		if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmdPrivateExpeditedRseq, flagCPU, uintptr(cpu)); errno != 0 {
			return false, fmt.Errorf("membarrier(PRIVATE_EXPEDITED_RSEQ, FLAG_CPU, %d): %w", cpu, errno)
		}
	}
	SerializeSelf()
	after, err := switches()
	return err == nil && before == after && !slices.Contains(spared, self), err
}

// switches counts how often this thread was switched out: it can have changed its CPU
// only then.
func switches() (int64, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("getrusage(RUSAGE_THREAD): %w", err)
	}
	return u.Nvcsw + u.Nivcsw, nil
}
