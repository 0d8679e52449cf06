package ipibpf

import (
	"bytes"
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
)

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// path says how the kernel got to where it sent the IPI.
func (o *rawOrigin) path(function func(uint64) string) string {
	if o.Work != 0 {
		return "workqueue " + function(o.Work)
	}
	switch o.Context {
	case inUser:
		return "user"
	case inKthread:
		return ipinames.Kthread(text(o.Thread[:]))
	case inWorker:
		return ipinames.Worker
	case inSoftirq:
		return ipinames.Softirq(int(o.Softirq))
	case inTimer:
		return "timer"
	case inIRQ:
		return "irq"
	}
	return ""
}

func (o *rawOrigin) syscall() string {
	switch {
	case o.NR < 0:
		return ""
	case o.Compat != 0:
		return fmt.Sprintf("i386 system call %d", o.NR)
	case int(o.NR) < len(syscallNames) && syscallNames[o.NR] != "":
		return syscallNames[o.NR]
	}
	return fmt.Sprintf("system call %d", o.NR)
}

// sender says who is blamed, without the cgroup.
func (o *rawOrigin) sender() ipi.Sender {
	return ipi.Sender{PID: int(o.TGID), TID: int(o.TID), Comm: text(o.Comm[:]), Thread: text(o.Thread[:])}
}

// detail says what the system call was asked for, in the words of its manual page.
func (o *rawOrigin) detail() string {
	if o.NR < 0 || o.Compat != 0 {
		return ""
	}
	low, high := uint32(o.Detail), uint32(o.Detail>>32)
	switch o.syscall() {
	case "setsockopt":
		return socketOption(high, low)
	case "madvise":
		return word(madvices, low, "advice")
	case "membarrier":
		s := word(membarriers, low, "command")
		if high&1 != 0 {
			s += " MEMBARRIER_CMD_FLAG_CPU"
		}
		return s
	case "bpf":
		return word(bpfCommands, low, "command")
	case "futex":
		const private, realtime = 128, 256
		return word(futexOps, low&^(private|realtime), "operation")
	case "prctl":
		return word(prctls, low, "option")
	case "ioctl", "fcntl", "arch_prctl":
		return fmt.Sprintf("%#x", low)
	}
	return ""
}

// word names a number; one without a name becomes a word too.
func word(names map[uint32]string, n uint32, what string) string {
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprintf("%s:%d", what, n)
}

const (
	solSocket = 1
	solPacket = 263
)

func socketOption(level, option uint32) string {
	switch level {
	case solSocket:
		return word(socketOptions, option, "SOL_SOCKET")
	case solPacket:
		return word(packetOptions, option, "SOL_PACKET")
	}
	return fmt.Sprintf("level:%d option:%d", level, option)
}
