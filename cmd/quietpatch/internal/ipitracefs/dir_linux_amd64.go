package ipitracefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// dir is a folder of tracefs. It is used by its descriptor, since it may be mounted nowhere.
type dir struct {
	fd   int
	name string // for messages
}

// The places where tracefs is mounted (Documentation/trace/ftrace.rst, "The File System").
const (
	mountPoint    = "/sys/kernel/tracing"
	oldMountPoint = "/sys/kernel/debug/tracing"
	tracefsMagic  = 0x74726163 // include/uapi/linux/magic.h
)

// openTracefs finds tracefs, or makes a mount of it that nobody else sees and that is in no
// table of mounts. That comes before the old place: to look there can mount it for all.
func openTracefs() (dir, error) {
	d, err := openMounted(mountPoint)
	if err == nil {
		return d, nil
	}
	d, private := mountPrivate()
	if private == nil {
		return d, nil
	}
	if d, err := openMounted(oldMountPoint); err == nil {
		return d, nil
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) { // it is there
		return dir{}, explain(err)
	}
	return dir{}, fmt.Errorf("tracefs is not mounted (%w) and cannot be mounted privately: %w", err, explain(private))
}

func openMounted(path string) (dir, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return dir{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	if st.Type != tracefsMagic {
		return dir{}, fmt.Errorf("%s: nothing is mounted there", path)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return dir{}, &fs.PathError{Op: "write below", Path: path, Err: unix.EROFS}
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return dir{fd, path}, nil
}

// mountPrivate mounts tracefs without a place (fsopen(2), fsmount(2); Linux 5.2). It ends
// with the descriptor.
func mountPrivate() (dir, error) {
	context, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return dir{}, fmt.Errorf("fsopen of tracefs: %w", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return dir{}, fmt.Errorf("fsconfig of tracefs: %w", err)
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return dir{}, fmt.Errorf("fsmount of tracefs: %w", err)
	}
	defer unix.Close(mount)
	fd, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir{}, fmt.Errorf("open of the mount of tracefs: %w", err)
	}
	return dir{fd, "tracefs"}, nil
}

func (d dir) close() error { return unix.Close(d.fd) }

func (d dir) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.name + "/" + name, Err: err}
}

func (d dir) open(name string, flags int) (int, error) {
	fd, err := unix.Openat(d.fd, name, flags|unix.O_CLOEXEC, 0)
	return fd, d.fail("open", name, err)
}

func (d dir) sub(name string) (dir, error) {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	return dir{fd, d.name + "/" + name}, err
}

func (d dir) read(name string) ([]byte, error) {
	fd, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	const most = 1 << 20
	b := make([]byte, 0, 4096)
	for len(b) < most {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, d.fail("read", name, err)
		}
		if n <= 0 {
			break
		}
		b = b[:len(b)+n]
	}
	return b, nil
}

// write hands over text in one piece, as the files of tracefs want it.
func (d dir) write(name, text string) error {
	fd, err := d.open(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Write(fd, []byte(text))
		if err != unix.EINTR {
			return d.fail(fmt.Sprintf("write of %q to", text), name, err)
		}
	}
}

func (d dir) names(name string) ([]string, error) {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return f.Readdirnames(-1)
}

// explain adds what can be done about an error of the kernel.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM) && lockedDown():
		return fmt.Errorf("%w: the kernel is locked down (kernel_lockdown(7), mode confidentiality)", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: CAP_SYS_ADMIN of the first user namespace is needed: be root, outside of containers, or let the container have /sys/kernel/tracing", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: root or CAP_DAC_OVERRIDE is needed; the group of tracefs may only read", err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: the kernel has no tracefs (CONFIG_TRACING)", err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: tracefs is mounted read-only, as in most containers", err)
	}
	return err
}
