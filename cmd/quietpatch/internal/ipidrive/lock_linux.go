package ipidrive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Scenarios of all processes take turns: two of SO_TIMESTAMP would share the kernel's key, and
// two of any kind the victim.
const lockName = "quietpatch-ipidrive.lock"

const (
	lockTell = 2 * time.Second // until it is said who is waited for
	lockMost = time.Minute     // scenarios last for seconds
)

// Lock keeps scenarios of other processes, and of this one, from starting until release is called: for
// tests that do by themselves what a scenario does. The name is told to those who wait.
func Lock(name string) (release func(), err error) {
	f, err := takeLock(filepath.Join(os.TempDir(), lockName), name, lockMost)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// takeLock locks a file by flock(2), for as long as this descriptor, or one that a process has
// inherited, is open.
func takeLock(path, name string, most time.Duration) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("the lock of scenarios: %w", err)
	}
	taken := make(chan error, 1)
	go func() { taken <- flock(f) }()
	tell, giveUp := time.After(lockTell), time.After(most)
	for {
		select {
		case err := <-taken:
			if err != nil {
				f.Close()
				return nil, fmt.Errorf("the lock of scenarios, %s: %w", path, err)
			}
			sign(f, name)
			return f, nil
		case <-tell:
			fmt.Fprintf(os.Stderr, "%s waits for %s\n", name, holder(f))
		case <-giveUp:
			who := holder(f)
			go func() { <-taken; f.Close() }() // flock cannot be called off
			return nil, fmt.Errorf("%s has waited %v for %s, which has %s locked", name, most, who, path)
		}
	}
}

// openLock opens the file or makes it. To ask for both at once would be refused in a folder of all users
// where the file is of another one (proc_sys_fs(5), protected_regular).
func openLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return f, f.Chmod(0o666)
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

func flock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

// sign says who has the lock. If that cannot be written it is locked all the same.
func sign(f *os.File, name string) {
	text := fmt.Sprintf("process %d (%s), %s", os.Getpid(), filepath.Base(os.Args[0]), name)
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(text), 0)
	}
}

func holder(f *os.File) string {
	b := make([]byte, 256)
	n, _ := f.ReadAt(b, 0)
	if text := strings.TrimSpace(string(b[:n])); text != "" {
		return text
	}
	return "a process that has not said who it is"
}
