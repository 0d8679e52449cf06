package trace

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLife(t *testing.T) {
	const stat = "%d (a) Z 1) %s 3020 3020 31998 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 %d 0 6125487 3133440 425"
	for pid, tc := range []struct {
		text  string
		start string
		runs  bool
	}{
		{fmt.Sprintf(stat, 0, "R", 1), "6125487", true},
		{fmt.Sprintf(stat, 1, "S", 7), "6125487", true},
		{fmt.Sprintf(stat, 2, "Z", 7), "6125487", true}, // its other threads go on
		{fmt.Sprintf(stat, 3, "Z", 1), "6125487", false},
		{fmt.Sprintf(stat, 4, "X", 1), "6125487", false},
		{"5 (a) S 1", "", true},
		{"", "", true},
	} {
		proc := t.TempDir()
		if err := os.Mkdir(filepath.Join(proc, strconv.Itoa(pid)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, strconv.Itoa(pid), "stat"), []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if start, runs := life(proc, int32(pid)); start != tc.start || runs != tc.runs {
			t.Errorf("%s: got %q, %v", tc.text, start, runs)
		}
	}
	if start, runs := life(t.TempDir(), 1); start != "" || runs {
		t.Errorf("no process: got %q, %v", start, runs)
	}
}

// TestEndOf: all have to end, also those that nobody waits for; a process that gets the number of one that
// has ended is another one.
func TestEndOf(t *testing.T) {
	if endOf(nil) != nil {
		t.Error("no processes end")
	}
	var pids []int32
	var running []*exec.Cmd
	var ends []io.Closer
	for range 2 {
		cmd := exec.Command("cat")
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		pids, running, ends = append(pids, int32(cmd.Process.Pid)), append(running, cmd), append(ends, in)
	}
	ended := endOf(pids)
	for i := range running {
		if ended() {
			t.Errorf("%d of 2 have ended, and all are said to have", i)
		}
		ends[i].Close()
		// It has ended, and is still there for its parent.
		if err := unix.Waitid(unix.P_PID, int(pids[i]), nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !ended() {
		t.Error("all have ended")
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if !ended() || !endOf(pids)() {
		t.Error("all are gone")
	}
	proc := t.TempDir()
	began := func(start string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(proc, "7"), 0o700); err != nil {
			t.Fatal(err)
		}
		text := "7 (a) S 3020 3020 31998 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 1 0 " + start + " 3133440 425"
		if err := os.WriteFile(filepath.Join(proc, "7", "stat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	began("100")
	ended = endIn(proc, []int32{7})
	if ended() {
		t.Error("it goes on")
	}
	began("101")
	if !ended() {
		t.Error("another process has its number")
	}
}
