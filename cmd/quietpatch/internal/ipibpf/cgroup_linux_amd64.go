package ipibpf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroups finds the paths of cgroups (version 2) by their numbers.
type cgroups struct {
	paths map[uint64]string
	mount string
	tried bool
}

// path returns the path below the mount point, "/" for the root; "" if it cannot be found.
func (c *cgroups) path(id uint64) string {
	if id == 0 {
		return ""
	}
	if p, ok := c.paths[id]; ok {
		return p
	}
	if !c.tried {
		c.tried = true
		c.mount = cgroupMount()
	}
	p := ""
	if c.mount != "" {
		p = openCgroup(c.mount, id)
	}
	c.paths[id] = p
	return p
}

// openCgroup opens a cgroup by its file handle, which is its number: fs/kernfs/mount.c,
// kernfs_encode_fh and include/linux/exportfs.h, FILEID_KERNFS. It needs CAP_DAC_READ_SEARCH.
func openCgroup(mount string, id uint64) string {
	const fileidKernfs = 0xfe
	dir, err := unix.Open(mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(dir)
	handle := unix.NewFileHandle(fileidKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(dir, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return ""
	}
	path = strings.TrimPrefix(path, mount)
	if path == "" {
		return "/"
	}
	return path
}

// cgroupMount finds where version 2 is mounted (proc_pid_mountinfo(5)).
func cgroupMount() string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		_, after, ok := strings.Cut(lines.Text(), " - ")
		if ok && len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return fields[4]
		}
	}
	return ""
}

// lockdown returns the state of the kernel's lockdown (kernel_lockdown(7)).
func lockdown() string {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return "lockdown: not known"
	}
	return "lockdown: " + string(b)
}
