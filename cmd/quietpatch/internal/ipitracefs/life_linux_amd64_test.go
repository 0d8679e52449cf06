package ipitracefs

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestNamespace: in another PID namespace IPIs are counted, under the numbers of the first one.
func TestNamespace(t *testing.T) {
	open(t, ipitrace.Options{}).Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestInside$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInside") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestInside: processes cannot be selected there, and the error says so; all are counted.
func TestInside(t *testing.T) {
	if firstNamespace() {
		t.Skip("TestNamespace runs this")
	}
	own := []int32{int32(os.Getpid())}
	for _, opts := range []ipitrace.Options{{TGIDs: own}, {TGIDs: own, Follow: true}, {PIDs: own}} {
		tr, err := Open(opts)
		if err == nil {
			tr.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "cannot be selected") {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	const n = 100
	tr := open(t, ipitrace.Options{})
	started := start(t, "membarrier", n)
	started.Finish(t)
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		return r.Cause == "ipi_sync_core" && r.Sender.PID > started.PID() && r.Sender.Comm == program && r.Origin == ipi.Origin{}
	})
	if got.IPIs > n || got.IPIs < n*9/10 {
		t.Errorf("got %+v, want %d; the CPU received %d", got, n, started.Received())
	}
}

// mountTable returns what the process sees mounted.
func mountTable(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func instances(t *testing.T) []string {
	t.Helper()
	root, err := openTracefs()
	if err != nil {
		t.Skip(err)
	}
	defer root.close()
	names, err := root.names("instances")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, fmt.Sprintf("quietpatch-%d", os.Getpid()))
	})
}

// TestClean: nothing is mounted for others, and nothing is left behind; two tracers of a process
// do not disturb each other.
func TestClean(t *testing.T) {
	before := mountTable(t)
	a, b := open(t, ipitrace.Options{NoCost: true}), open(t, ipitrace.Options{NoCost: true})
	if got := instances(t); len(got) != 2 {
		t.Errorf("instances: %q", got)
	}
	closed(t, a)
	if got := instances(t); len(got) != 1 {
		t.Errorf("instances: %q", got)
	}
	const n = 20
	pid := driveExactly(t, "membarrier", n, n)
	if got := sum(t, closed(t, b), func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" }); got.IPIs != n {
		t.Errorf("the other tracer counts %d, want %d", got.IPIs, n)
	}
	if got := instances(t); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	if after := mountTable(t); after != before {
		t.Errorf("mounted: %s", after)
	}
}

// TestStale: what a killed process left is removed; what a living one has stays.
func TestStale(t *testing.T) {
	root, err := openTracefs()
	if err != nil {
		t.Skip(err)
	}
	defer root.close()
	stale := instancePrefix + fmt.Sprintf("%d-stale", os.Getpid())
	if err := unix.Mkdirat(root.fd, stale, 0o700); err != nil {
		t.Skip(err)
	}
	living := open(t, ipitrace.Options{NoCost: true})
	if got := instances(t); len(got) != 1 {
		t.Errorf("instances: %q", got)
	}
	closed(t, living)
	young, err := newInstance(root) // nothing of it is open yet but the folder
	if err != nil {
		t.Fatal(err)
	}
	removeStale(root)
	if err := young.remove(); err != nil {
		t.Errorf("what is in use was removed: %v", err)
	}
}

// TestAt: a snapshot is of the moment up to which it was counted, not of the end of the stop.
func TestAt(t *testing.T) {
	tr := open(t, ipitrace.Options{})
	start := time.Now() // counting has begun a bit before
	time.Sleep(50 * time.Millisecond)
	least := time.Since(start)
	s, err := tr.Read()
	if err != nil || s.At < least || s.At > time.Since(start)+time.Second {
		t.Errorf("read at %v, %v; %v since the start", s.At, err, least)
	}
	least = time.Since(start)
	last := closed(t, tr)
	if want := time.Duration(tr.count.until - tr.count.from); last.At != want || last.At < least {
		t.Errorf("closed at %v, counted %v; %v since the start", last.At, want, least)
	}
}
