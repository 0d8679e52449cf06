package ipitracefs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// instance is a tracer of the kernel's for this process alone (Documentation/trace/ftrace.rst,
// "Instances"): its own events, filters and buffers.
type instance struct {
	dir
	root dir
	path string // below root
}

const instancePrefix = "instances/quietpatch-"

// newInstance makes one. It is locked by flock(2) as long as the process lives, so that others know.
func newInstance(root dir) (*instance, error) {
	removeStale(root)
	const tries = 64
	for i := range tries {
		path := fmt.Sprintf("%s%d", instancePrefix, os.Getpid())
		if i > 0 {
			path += fmt.Sprintf("-%d", i)
		}
		err := unix.Mkdirat(root.fd, path, 0o700)
		if err == unix.EEXIST {
			continue
		}
		if err != nil {
			return nil, explain(root.fail("mkdir", path, err))
		}
		d, err := root.sub(path)
		if err == nil {
			err = lock(root, d, path)
		}
		if errors.Is(err, unix.ENOENT) { // another process took it for stale before it was locked
			continue
		}
		if err != nil {
			_ = unix.Unlinkat(root.fd, path, unix.AT_REMOVEDIR)
			return nil, explain(err)
		}
		return &instance{d, root, path}, nil
	}
	return nil, fmt.Errorf("%s has %d instances of this process already", root.name, tries)
}

// lock locks an instance that was opened, or closes it. ENOENT says that another process takes it for stale:
// it has the lock, or had it.
func lock(root, d dir, path string) error {
	err := unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		err = unix.ENOENT
	}
	if err == nil {
		err = unix.Faccessat(root.fd, path, unix.F_OK, 0)
	}
	if err != nil {
		d.close()
	}
	return err
}

// remove takes it away, with all that is turned on in it.
func (in *instance) remove() error {
	err := in.close()
	return errors.Join(err, in.root.fail("rmdir", in.path, unix.Unlinkat(in.root.fd, in.path, unix.AT_REMOVEDIR)))
}

// RemoveStale removes what processes have left that were killed: their events go on and cost every
// sender. It returns the names. What is not there or not allowed is left to [Open] to tell.
func RemoveStale() []string {
	root, err := openMounted(mountPoint)
	if err != nil {
		root, err = mountPrivate() // not at the old place: to look there can mount it for all
	}
	if err != nil {
		return nil
	}
	defer root.close()
	return removeStale(root)
}

// removeStale is RemoveStale. The kernel does not remove an instance that is being read.
func removeStale(root dir) (removed []string) {
	names, err := root.names("instances")
	if err != nil {
		return nil
	}
	for _, name := range names {
		path := "instances/" + name
		if !strings.HasPrefix(path, instancePrefix) {
			continue
		}
		d, err := root.sub(path)
		if err != nil {
			continue
		}
		if unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			if unix.Unlinkat(root.fd, path, unix.AT_REMOVEDIR) == nil {
				removed = append(removed, name)
			}
		}
		d.close()
	}
	return removed
}

func lockedDown() bool {
	b, _ := os.ReadFile("/sys/kernel/security/lockdown")
	return strings.Contains(string(b), "[confidentiality]")
}
