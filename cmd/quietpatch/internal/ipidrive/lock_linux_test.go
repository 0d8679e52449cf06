package ipidrive

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const soon = 50 * time.Millisecond

// TestLock: one at a time, those who wait are told for whom, and who gave up takes nothing.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockName)
	first, err := takeLock(path, "the first", soon)
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeLock(path, "the second", soon)
	if want := fmt.Sprintf("the second has waited 50ms for process %d (ipidrive.test), the first, which has %s locked", os.Getpid(), path); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	first.Close()
	third, err := takeLock(path, "the third", lockMost)
	if err != nil {
		t.Fatal(err)
	}
	third.Close()
	if err := os.Symlink(path, path+"-link"); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path+"-link", "x", soon); err == nil {
		t.Error("a link is followed")
	}
}

// TestTurns: a process has the lock from Start to its end, whether it runs or not.
func TestTurns(t *testing.T) {
	path := filepath.Join(os.TempDir(), lockName)
	for _, end := range []func(*Process){
		func(p *Process) { p.Cancel() },
		func(p *Process) { _, _ = p.Finish() }, // which may fail where there is one CPU
		func(p *Process) { _, _ = p.Finish(); p.Cancel() },
	} {
		p, err := Start(Job{Scenario: "munmap", Turns: 1, Victim: 1})
		if err != nil {
			t.Fatal(err)
		}
		if f, err := takeLock(path, "another", soon); err == nil || !strings.Contains(err.Error(), "scenario munmap") {
			f.Close()
			t.Errorf("while it waits: %v", err)
		}
		end(p)
		release, err := Lock("a test")
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}
