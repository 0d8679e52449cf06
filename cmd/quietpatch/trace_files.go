package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// fileFlag is a file that is named by a flag, or "" if it is not.
type fileFlag struct{ flag, name string }

// distinct refuses files that are the same: what is written last would be all that is left.
func distinct(files ...fileFlag) error {
	for i, a := range files {
		for _, b := range files[:i] {
			if a.name != "" && b.name != "" && sameFile(a.name, b.name) {
				return fmt.Errorf("%s: expected another file than that of %s, found %s for both", a.flag, b.flag, a.name)
			}
		}
	}
	return nil
}

// sameFile reports whether two names are of one file, or will be. Several may write to a pipe or to /dev/null.
func sameFile(a, b string) bool {
	s, errA := os.Stat(a)
	t, errB := os.Stat(b)
	switch {
	case errA == nil && errB == nil:
		return s.Mode().IsRegular() && os.SameFile(s, t)
	case errors.Is(errA, fs.ErrNotExist) && errors.Is(errB, fs.ErrNotExist):
		return wholePath(a) == wholePath(b)
	}
	return false // opening them will say more
}

// wholePath is the absolute path of a file that there need not be yet.
func wholePath(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		return filepath.Clean(name)
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// recordFile is opened early, so that what is wrong with it is told at once. What was in it goes
// with the first write: a start that fails costs no earlier record.
type recordFile struct {
	*os.File
	begun bool
}

func (f *recordFile) Write(b []byte) (int, error) {
	if !f.begun {
		if err := empty(f.File); err != nil {
			return 0, err
		}
		f.begun = true
	}
	return f.File.Write(b)
}

// empty takes out what was in a file, unless it is a pipe, or /dev/stdout.
func empty(f *os.File) error {
	err := f.Truncate(0)
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
