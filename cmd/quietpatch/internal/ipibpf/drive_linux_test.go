package ipibpf

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The scenarios run in a process of their own, so that they have a name and a number, and
// without the preemption signals of the runtime, which are IPIs too.

const (
	driveEnv = "IPIBPF_DRIVE" // scenario
	timesEnv = "IPIBPF_TIMES"
	sender   = 0
	victim   = 1
)

func TestMain(m *testing.M) {
	if name := os.Getenv(driveEnv); name != "" {
		n, _ := strconv.Atoi(os.Getenv(timesEnv))
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
}

// drive runs a scenario n times and returns the number of its process.
func drive(t *testing.T, name string, n int) int {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), driveEnv+"="+name, timesEnv+"="+strconv.Itoa(n), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return cmd.ProcessState.Pid()
}

func pin(cpu int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// withSpinner runs f on one CPU while another thread of the process spins on the victim, where
// nothing else can run: a CPU that idles is not always interrupted.
func withSpinner(f func() error) error {
	ready, stop, failed := make(chan struct{}), new(atomic.Bool), make(chan error, 1)
	go spin(ready, stop, failed)
	if err := pin(sender); err != nil {
		return err
	}
	select {
	case <-ready:
	case err := <-failed:
		return err
	}
	time.Sleep(2 * time.Millisecond) // it spins now
	err := f()
	stop.Store(true)
	return err
}

func spin(ready chan struct{}, stop *atomic.Bool, failed chan error) {
	err := pin(victim)
	if err == nil {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		err = unix.SchedSetAttr(0, &attr, 0)
	}
	if err != nil {
		failed <- err
		return
	}
	close(ready)
	for end := time.Now().Add(5 * time.Second); !stop.Load() && time.Now().Before(end); {
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	_ = unix.SchedSetAttr(0, &attr, 0)
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
