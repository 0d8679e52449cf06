package ipibpf

import (
	"fmt"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

func name16(s string) (b [16]byte) {
	copy(b[:], s)
	return b
}

func hexName(addr uint64) string { return fmt.Sprintf("f%x", addr) }

func TestPath(t *testing.T) {
	for _, test := range []struct {
		o    rawOrigin
		want string
	}{
		{rawOrigin{Context: inSyscall, NR: 3}, ""},
		{rawOrigin{Context: inUser, NR: -1}, "user"},
		{rawOrigin{Context: inKthread, NR: -1, Thread: name16("khugepaged")}, "kthread"},
		{rawOrigin{Context: inKthread, NR: -1, Thread: name16("rcu_preempt")}, "rcu"},
		{rawOrigin{Context: inKthread, NR: -1, Thread: name16("rcuop/3")}, "rcu"},
		{rawOrigin{Context: inWorker, NR: -1, Thread: name16("iou-wrk-7")}, "worker"},
		{rawOrigin{Context: inSoftirq, Softirq: 3}, "softirq NET_RX"},
		{rawOrigin{Context: inSoftirq, Softirq: 9}, "rcu"},
		{rawOrigin{Context: inSoftirq, Softirq: 10}, "softirq 10"},
		{rawOrigin{Context: inTimer}, "timer"},
		{rawOrigin{Context: inIRQ}, "irq"},
		{rawOrigin{Context: inSyscall, NR: 54, Work: 0x10, Known: 1}, "workqueue f10"},
		{rawOrigin{Context: inSoftirq, Softirq: 1, Work: 0x10, Known: 1}, "workqueue f10"},
	} {
		if got := test.o.path(hexName); got != test.want {
			t.Errorf("%+v: got %q", test.o, got)
		}
	}
}

func TestSyscall(t *testing.T) {
	for _, test := range []struct {
		nr               int32
		compat           uint8
		detail           uint64
		syscall, detail2 string
	}{
		{-1, 0, 0, "", ""},
		{0, 0, 0, "read", ""},
		{3, 0, 0, "close", ""},
		{54, 0, 1<<32 | 29, "setsockopt", "SO_TIMESTAMP"},
		{54, 0, 1<<32 | 35, "setsockopt", "SO_TIMESTAMPNS"},
		{54, 0, 1<<32 | 37, "setsockopt", "SO_TIMESTAMPING"},
		{54, 0, 1<<32 | 63, "setsockopt", "SO_TIMESTAMP_NEW"},
		{54, 0, 1<<32 | 64, "setsockopt", "SO_TIMESTAMPNS_NEW"},
		{54, 0, 1<<32 | 65, "setsockopt", "SO_TIMESTAMPING_NEW"},
		{54, 0, 1<<32 | 999, "setsockopt", "SOL_SOCKET:999"},
		{54, 0, 6<<32 | 1, "setsockopt", "level:6 option:1"},
		{54, 0, 263<<32 | 5, "setsockopt", "PACKET_RX_RING"},
		{54, 1, 1<<32 | 29, "i386 system call 54", ""},
		{28, 0, 4, "madvise", "MADV_DONTNEED"},
		{202, 0, 129, "futex", "FUTEX_WAKE"},
		{321, 0, 5, "bpf", "BPF_PROG_LOAD"},
		{324, 0, 32, "membarrier", "MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE"},
		{324, 0, 1<<32 | 128, "membarrier", "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ MEMBARRIER_CMD_FLAG_CPU"},
		{16, 0, 0x5401, "ioctl", "0x5401"},
		{100000, 0, 0, "system call 100000", ""},
	} {
		o := rawOrigin{NR: test.nr, Compat: test.compat, Detail: test.detail}
		if s, d := o.syscall(), o.detail(); s != test.syscall || d != test.detail2 {
			t.Errorf("%+v: got %q, %q", test, s, d)
		}
	}
}

func TestSender(t *testing.T) {
	o := rawOrigin{TGID: 7, TID: 8, Comm: name16("sixteen bytes it"), Thread: name16("worker\x00junk")}
	if got, want := o.sender(), (ipi.Sender{PID: 7, TID: 8, Comm: "sixteen bytes it", Thread: "worker"}); got != want {
		t.Errorf("got %+v", got)
	}
}
