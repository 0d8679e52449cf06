//go:build linux && amd64

package barrier

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Commands of membarrier(2), from include/uapi/linux/membarrier.h.
const (
	cmdQuery                            = 0
	cmdPrivateExpeditedSyncCore         = 1 << 5
	cmdRegisterPrivateExpeditedSyncCore = 1 << 6
)

// ErrUnsupported is wrapped by the errors of [Register] where the kernel has no
// such sync, or forbids it.
var ErrUnsupported = errors.New("no core-serializing membarrier")

var syncs atomic.Uint64

// Syncs returns how many syncs the process has made.
func Syncs() uint64 { return syncs.Load() }

// Register tells the kernel that the process will sync. From then on the
// kernel serializes whenever it switches a CPU to the process, which costs a
// little for good: register at the first use, not at start. It may be called
// again.
func Register() error {
	have, err := membarrier(cmdQuery)
	if err != nil {
		return fmt.Errorf("%w: membarrier(QUERY): %w (seccomp filter, or a kernel before 4.16)", ErrUnsupported, err)
	}
	if have&cmdPrivateExpeditedSyncCore == 0 {
		return fmt.Errorf("%w: the kernel offers commands %#x, SYNC_CORE is %#x (Linux 4.16 or later is needed)",
			ErrUnsupported, have, cmdPrivateExpeditedSyncCore)
	}
	if _, err := membarrier(cmdRegisterPrivateExpeditedSyncCore); err != nil {
		return fmt.Errorf("%w: membarrier(REGISTER_PRIVATE_EXPEDITED_SYNC_CORE): %w", ErrUnsupported, err)
	}
	return nil
}

// SyncCore makes every CPU that may run the program execute a core-serializing
// instruction, this one included. [Register] must have succeeded before.
func SyncCore() error {
	if _, err := membarrier(cmdPrivateExpeditedSyncCore); err != nil {
		return fmt.Errorf("membarrier(PRIVATE_EXPEDITED_SYNC_CORE): %w", err)
	}
	// With one thread or one CPU the kernel returns at once and serializes
	// nothing (kernel/sched/membarrier.c: mm_users == 1 or num_online_cpus
	// == 1). Then this CPU is the only one that matters.
	SerializeSelf()
	syncs.Add(1)
	return nil
}

func membarrier(cmd uintptr) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmd, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}
