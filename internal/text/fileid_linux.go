//go:build linux && amd64

package text

import "golang.org/x/sys/unix"

// fileID tells whether a descriptor is still the file that we opened. Daemons
// close all descriptors, and the number of ours may become somebody else's.
type fileID struct{ dev, ino uint64 }

func identify(fd int) (fileID, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return fileID{st.Dev, st.Ino}, err
}

// is reports whether fd is the file.
func (id fileID) is(fd int) bool {
	now, err := identify(fd)
	return err == nil && now == id
}

// close closes fd if it is the file, and leaves it alone if not.
func (id fileID) close(fd int) error {
	if !id.is(fd) {
		return nil
	}
	return unix.Close(fd)
}
