package trace

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHints(t *testing.T) {
	const all = "Name:\tx\nCapEff:\t000001ffffffffff\n"
	for name, tc := range map[string]struct {
		status, lockdown string
		container        bool
		uid              int
		want, not        []string
	}{
		"root":        {all, "[none] integrity confidentiality", true, 0, nil, []string{"capab", "container"}},
		"user":        {"CapEff:\t0000000000000000\n", "", false, 1000, []string{"CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN", "sudo"}, []string{"container"}},
		"container":   {"CapEff:\t00000000a80425fb\n", "", true, 0, []string{"CAP_BPF", "container"}, []string{"sudo"}},
		"some":        {"CapEff:\t000000c000200000\n", "", false, 1000, []string{"CAP_SYSLOG"}, nil},
		"lockdown":    {all, "none integrity [confidentiality]\n", false, 0, []string{"locked down (confidentiality)"}, []string{"sudo"}},
		"no file":     {"", "", false, 1000, nil, []string{"missing"}},
		"not a value": {"CapEff:\tzz\n", "", false, 1000, nil, []string{"missing"}},
	} {
		got := strings.Join(hintsOf(tc.status, tc.lockdown, tc.container, tc.uid), "\n")
		for _, want := range tc.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: without %q: %q", name, want, got)
			}
		}
		for _, not := range tc.not {
			if strings.Contains(got, not) {
				t.Errorf("%s: with %q: %q", name, not, got)
			}
		}
	}
}

func TestCheckProcesses(t *testing.T) {
	own := int32(os.Getpid())
	if err := CheckProcesses([]int32{own}); err != nil {
		t.Error(err)
	}
	if err := CheckProcesses([]int32{own, 1<<31 - 1}); err == nil || !strings.Contains(err.Error(), "no process 2147483647") {
		t.Error(err)
	}
	if err := CheckProcesses([]int32{otherThread()}); err == nil || !strings.Contains(err.Error(), "is a thread of process") {
		t.Error(err)
	}
}

// otherThread is one that is not the first of the process. It lives until the test ends.
func otherThread() int32 {
	tid := make(chan int32)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			tid <- int32(unix.Gettid())
		} else {
			tid <- otherThread() // this one is locked to the first
		}
		select {}
	}()
	return <-tid
}

// TestChild: the program does nothing before Go, and ends as it would without us.
func TestChild(t *testing.T) {
	file := t.TempDir() + "/file"
	c, err := StartChild(exec.Command("sh", "-c", "echo x >"+file+"; exit 7"))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(c.PID) + "/status")
	if err != nil || !strings.Contains(string(status), "State:\tt (tracing stop)") {
		t.Errorf("%v\n%s", err, status)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it ran before Go")
	}
	err = <-c.Go()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 7 {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestChildKilled(t *testing.T) {
	file := t.TempDir() + "/file"
	c, err := StartChild(exec.Command("sh", "-c", "echo x >"+file))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(c.PID, 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v", c.PID, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it ran")
	}
	if _, err := StartChild(exec.Command("/nonexistent")); err == nil {
		t.Error("no error")
	}
}
