package ipibpf

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
)

// The scenarios run in a process of their own, so that they have a name and a number, and
// without the preemption signals of the runtime, which are IPIs too.

const (
	driveEnv = "IPIBPF_DRIVE" // scenario
	timesEnv = "IPIBPF_TIMES"
	spinMost = 20 * time.Second // if the driver is stuck
	sender   = 0
)

// victim is the CPU that is interrupted; the next one is used where there must be two. The
// environment can name one that is isolated.
var victim = func() int {
	if cpu, err := strconv.Atoi(os.Getenv("IPIBPF_VICTIM")); err == nil {
		return cpu
	}
	return 1
}()

func TestMain(m *testing.M) {
	if name := os.Getenv(driveEnv); name != "" {
		n, _ := strconv.Atoi(os.Getenv(timesEnv))
		_, _ = io.Copy(io.Discard, os.Stdin)
		if err := drives[name](n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var drives = map[string]func(n int) error{
	"membarrier": driveMembarrier,
	"timestamp":  driveTimestamp,
	"munmap":     driveMunmap,
	"timer":      driveTimer,
	"datagram":   driveDatagram,
	"stats":      driveStats,
}

// started is a scenario in its process, which waits for the end of its input before it begins.
type started struct {
	cmd   *exec.Cmd
	input io.Closer
	out   bytes.Buffer
}

func start(t testing.TB, name string, n int) *started {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &started{cmd: exec.Command(exe)}
	s.cmd.Env = append(os.Environ(), driveEnv+"="+name, timesEnv+"="+strconv.Itoa(n), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *started) pid() int { return s.cmd.Process.Pid }

// finish lets it run to its end.
func (s *started) finish(t testing.TB) {
	t.Helper()
	s.input.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("%v: %v: %s", s.cmd.Env[len(s.cmd.Env)-4:], err, &s.out)
	}
	t.Logf("%s", &s.out)
}

// drive runs a scenario n times and returns the number of its process.
func drive(t testing.TB, name string, n int) int {
	t.Helper()
	s := start(t, name, n)
	s.finish(t)
	return s.pid()
}

// driveExactly runs a scenario n times that sends want IPIs, and again if /proc/interrupts has another
// number: the kernel takes the CPU from the spinner now and then, even a real-time one, for
// threads that would starve (kernel/sched/deadline.c, the fair server), and a kworker can be late.
func driveExactly(t testing.TB, name string, n, want int) int {
	t.Helper()
	const tries = 8
	for range tries {
		s := start(t, name, n)
		s.finish(t)
		if s.received() == want {
			return s.pid()
		}
	}
	t.Skipf("%s: in %d tries the CPU never received just %d: others use it", name, tries, want)
	return 0
}

// received is what the driver has found in /proc/interrupts.
func (s *started) received() int {
	var cpu int
	var calls, flushes int
	if _, err := fmt.Sscanf(s.out.String(), received, &cpu, &calls, &flushes); err != nil {
		return -1
	}
	return calls
}

const received = "CPU %d received %d calls, %d of them flushes"

func pin(cpu int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// spinner is a thread that spins on a CPU, where nothing else can run then: a CPU that idles is
// not always interrupted.
type spinner struct {
	turns  atomic.Int64
	stop   atomic.Bool
	failed chan error
}

// startSpinner returns when the thread spins.
func startSpinner(cpu int) (*spinner, error) {
	s := &spinner{failed: make(chan error, 1)}
	go s.spin(cpu)
	for begin := time.Now(); s.turns.Load() < 1000; time.Sleep(time.Millisecond) {
		select {
		case err := <-s.failed:
			return nil, err
		default:
		}
		if time.Since(begin) > spinMost {
			return nil, fmt.Errorf("the thread on CPU %d does not run", cpu)
		}
	}
	return s, nil
}

func (s *spinner) spin(cpu int) {
	err := pin(cpu)
	if err == nil {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		err = unix.SchedSetAttr(0, &attr, 0)
	}
	if err != nil {
		s.failed <- err
		return
	}
	for end := time.Now().Add(spinMost); !s.stop.Load() && time.Now().Before(end); {
		s.turns.Add(1)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	_ = unix.SchedSetAttr(0, &attr, 0)
}

// withSpinner runs f on one CPU while another thread of the process spins on the victim, and
// prints what that received.
func withSpinner(f func() error) error {
	if err := pin(sender); err != nil {
		return err
	}
	s, err := startSpinner(victim)
	if err != nil {
		return err
	}
	defer s.stop.Store(true)
	before := interrupts.Read()
	err = f()
	d := interrupts.Read().IPIsSince(before, victim)
	fmt.Printf(received+"\n", victim, d.Call, d.TLB)
	return err
}

func membarrier(cmd uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmd, 0, 0); errno != 0 {
		return fmt.Errorf("membarrier %d: %w", cmd, errno)
	}
	return nil
}

func driveMembarrier(n int) error {
	const syncCore, register = 32, 64
	if err := membarrier(register); err != nil {
		return err
	}
	return withSpinner(func() error {
		for range n {
			if err := membarrier(syncCore); err != nil {
				return err
			}
		}
		return nil
	})
}

// driveTimestamp turns the key of network time stamps on and off. Both go through a
// workqueue, for which it waits: else the second undoes the first before it begins.
func driveTimestamp(n int) error {
	const settle = time.Millisecond
	return withSpinner(func() error {
		for range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1); err != nil {
				return err
			}
			time.Sleep(settle)
			if err := unix.Close(fd); err != nil {
				return err
			}
			time.Sleep(settle)
		}
		return nil
	})
}

func driveMunmap(n int) error {
	return withSpinner(func() error {
		for range n {
			m, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			m[0] = 1
			if err := unix.Munmap(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// wakeOnVictim starts a thread on the victim that outranks the spinner there, and lets it
// wait in f until f fails: each time it is woken, the victim has to be interrupted.
func wakeOnVictim(f func() error) error {
	ready := make(chan error)
	go func() {
		err := pin(victim)
		if err == nil {
			attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 2}
			err = unix.SchedSetAttr(0, &attr, 0)
		}
		ready <- err
		for err == nil {
			err = f()
		}
	}()
	return <-ready
}

// driveTimer lets a timer of the sender's CPU wake the victim while the sender is in system
// calls that have nothing to do with it.
func driveTimer(n int) error {
	return withSpinner(func() error {
		fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, 0)
		if err != nil {
			return err
		}
		var woken atomic.Int64
		if err := wakeOnVictim(func() error {
			var b [8]byte
			_, err := unix.Read(fd, b[:])
			woken.Add(1)
			return err
		}); err != nil {
			return err
		}
		soon := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(200 * time.Microsecond))}
		for i := range n {
			// One shot each: a period would be set going again by the reader, on its own CPU.
			if err := unix.TimerfdSettime(fd, 0, &soon, nil); err != nil {
				return err
			}
			for end := time.Now().Add(time.Second); woken.Load() <= int64(i) && time.Now().Before(end); {
				_, _ = unix.Getpgid(0)
			}
		}
		return nil
	})
}

// driveDatagram sends datagrams over the loopback device to a thread on the victim: the
// softirq that receives them runs in the sender's system call.
func driveDatagram(n int) error {
	return withSpinner(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		to, err := unix.Getsockname(fd)
		if err != nil {
			return err
		}
		var got atomic.Int64
		if err := wakeOnVictim(func() error {
			var b [8]byte
			_, err := unix.Read(fd, b[:])
			got.Add(1)
			return err
		}); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
		for i := range n {
			if err := unix.Sendto(fd, []byte{1}, 0, to); err != nil {
				return err
			}
			for end := time.Now().Add(time.Second); got.Load() <= int64(i) && time.Now().Before(end); {
			}
			time.Sleep(50 * time.Microsecond) // it waits again
		}
		return nil
	})
}

// driveStats turns the key of the statistics of BPF programs on and off, which makes all
// CPUs serialize.
func driveStats(n int) error {
	const file = "/proc/sys/kernel/bpf_stats_enabled"
	return withSpinner(func() error {
		for range n {
			for _, value := range []string{"1", "0"} {
				if err := os.WriteFile(file, []byte(value), 0); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
