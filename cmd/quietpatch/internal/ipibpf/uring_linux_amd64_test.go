package ipibpf

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// ringParams is struct io_uring_params (include/uapi/linux/io_uring.h).
type ringParams struct {
	SQEntries, CQEntries, Flags, SQThreadCPU, SQThreadIdle, Features, WQ uint32
	_                                                                    [3]uint32
	SQ, CQ                                                               ringOffsets
}

// ringOffsets are struct io_sqring_offsets and struct io_cqring_offsets: the fifth and sixth differ, and what
// comes then.
type ringOffsets struct {
	Head, Tail, Mask, Entries, Flags, CQEs, Array, _ uint32
	_                                                uint64
}

// ring is an io_uring with room for one request.
type ring struct {
	fd        int
	p         ringParams
	mem, sqes []byte
}

// newRing makes a ring whose threads run on one CPU.
func newRing(t *testing.T, cpu int) *ring {
	t.Helper()
	const singleMmap, registerAffinity = 1, 17
	r := &ring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&r.p)), 0)
	if errno != 0 {
		t.Skipf("io_uring_setup: %v", errno)
	}
	r.fd = int(fd)
	t.Cleanup(func() { unix.Close(r.fd) })
	if r.p.Features&singleMmap == 0 {
		t.Skip("io_uring has two rings to map")
	}
	var set unix.CPUSet
	set.Set(cpu)
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, fd, registerAffinity, uintptr(unsafe.Pointer(&set)), unsafe.Sizeof(set), 0, 0); errno != 0 {
		t.Skipf("io_uring_register: %v", errno)
	}
	size := max(r.p.SQ.Array+4*r.p.SQEntries, r.p.CQ.CQEs+16*r.p.CQEntries)
	r.mem = mapped(t, r.fd, 0, int(size))
	r.sqes = mapped(t, r.fd, 0x10000000, 64)
	return r
}

func mapped(t *testing.T, fd int, offset int64, size int) []byte {
	t.Helper()
	flags := unix.MAP_SHARED
	if fd < 0 {
		flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	}
	b, err := unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

func (r *ring) at(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.mem[offset])) }

// madvise lets a thread of the ring call madvise, and waits for it.
func (r *ring) madvise(page []byte, advice uint32) error {
	const op, async, wait = 25, 1 << 4, 1
	clear(r.sqes)
	r.sqes[0], r.sqes[1] = op, async
	binary.LittleEndian.PutUint64(r.sqes[16:], uint64(uintptr(unsafe.Pointer(&page[0]))))
	binary.LittleEndian.PutUint32(r.sqes[24:], uint32(len(page)))
	binary.LittleEndian.PutUint32(r.sqes[28:], advice)
	atomic.AddUint32(r.at(r.p.SQ.Tail), 1) // its only entry is number 0, as the array says
	head := atomic.LoadUint32(r.at(r.p.CQ.Head))
	for atomic.LoadUint32(r.at(r.p.CQ.Tail)) == head {
		if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, wait, 0, 0); errno != 0 && errno != unix.EINTR {
			return errno
		}
	}
	entry := r.p.CQ.CQEs + 16*(head%r.p.CQEntries)
	result := int32(*r.at(entry + 8))
	atomic.StoreUint32(r.at(r.p.CQ.Head), head+1)
	if result != 0 {
		return fmt.Errorf("madvise by io_uring: %w", unix.Errno(-result))
	}
	return nil
}

// spinOn has a thread of this process on a CPU until the test ends.
func spinOn(t *testing.T, cpu int) {
	t.Helper()
	var stop atomic.Bool
	ready, done := make(chan error), make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // it ends with the goroutine
		ready <- pin(cpu)
		for !stop.Load() {
		}
	}()
	t.Cleanup(func() {
		stop.Store(true)
		<-done
	})
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
}

// TestWorker: a thread of io_uring is in no system call, and the process is blamed. It has the registers that
// the thread had that made it.
func TestWorker(t *testing.T) {
	const n, least = 300, 30 // the spinner has the CPU most of the time
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(sender); err != nil {
		t.Fatal(err)
	}
	page := mapped(t, -1, 0, os.Getpagesize())
	tr := open(t, ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}})
	r := newRing(t, sender)
	spinOn(t, victim)
	for range n {
		page[0] = 1
		if err := r.madvise(page, unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		worker := strings.HasPrefix(r.Sender.Thread, "iou-")
		if worker && (r.Origin.Path != ipinames.Worker || r.Origin.Syscall != "" || r.Sender.PID != os.Getpid()) {
			t.Errorf("got %+v", r)
		}
		return worker && r.Kind == ipi.TLB && r.Remedy == "tlb-worker"
	})
	if got.IPIs < least {
		t.Errorf("got %+v, want %d", got, n)
	}
}
