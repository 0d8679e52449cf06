package ipitracefs

import (
	"errors"
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
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
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

func allInstances(t *testing.T) []string {
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
	return names
}

// instances are those of this process.
func instances(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(allInstances(t), func(name string) bool {
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
	if err := unix.Mkdirat(root.fd, stale, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := RemoveStale(); !slices.Contains(got, strings.TrimPrefix(stale, "instances/")) {
		t.Errorf("removed %q, without %s", got, stale)
	}
	if got := instances(t); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	young, err := newInstance(root) // nothing of it is open yet but the folder
	if err != nil {
		t.Fatal(err)
	}
	if got := RemoveStale(); slices.Contains(got, strings.TrimPrefix(young.path, "instances/")) {
		t.Errorf("removed %q", got)
	}
	if err := young.remove(); err != nil {
		t.Errorf("what is in use was removed: %v", err)
	}
}

// TestStaleYoung: an instance that another process takes for stale before it is locked is not used.
func TestStaleYoung(t *testing.T) {
	root, err := openTracefs()
	if err != nil {
		t.Skip(err)
	}
	defer root.close()
	path := instancePrefix + fmt.Sprintf("%d-young", os.Getpid())
	opened := func() dir {
		t.Helper()
		d, err := root.sub(path)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := unix.Mkdirat(root.fd, path, 0o700); err != nil {
		t.Skip(err)
	}
	first, second, late := opened(), opened(), opened()
	if err := lock(root, first, path); err != nil {
		t.Error(err)
	}
	if err := lock(root, second, path); err != unix.ENOENT {
		t.Errorf("while another has the lock: %v", err)
	}
	if err := errors.Join(unix.Unlinkat(root.fd, path, unix.AT_REMOVEDIR), first.close()); err != nil {
		t.Fatal(err)
	}
	if err := lock(root, late, path); err != unix.ENOENT {
		t.Errorf("after it was removed: %v", err)
	}
}

// TestKilled: the next start removes what a process left that was killed, and nothing counts in it any more.
func TestKilled(t *testing.T) {
	open(t, ipitrace.Options{NoCost: true}).Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestOpens$")
	cmd.Env = append(os.Environ(), opensEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, readErr := out.Read(make([]byte, 1)) // it is open now, or has failed
	left := fmt.Sprintf("quietpatch-%d", cmd.Process.Pid)
	there := slices.Contains(allInstances(t), left)
	killErr := cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if readErr != nil || killErr != nil || !there || !slices.Contains(allInstances(t), left) {
		t.Fatalf("%v, %v: %q was there: %v; now %q", readErr, killErr, left, there, allInstances(t))
	}
	closed(t, open(t, ipitrace.Options{NoCost: true}))
	if got := allInstances(t); slices.Contains(got, left) {
		t.Errorf("left: %q", got)
	}
}

const opensEnv = "IPITRACEFS_OPENS"

// TestOpens is what TestKilled kills.
func TestOpens(t *testing.T) {
	if os.Getenv(opensEnv) == "" {
		t.Skip("TestKilled runs this")
	}
	open(t, ipitrace.Options{NoCost: true})
	fmt.Println("open")
	time.Sleep(time.Minute)
}

// TestHidden: without names of functions it works, and says what that means.
func TestHidden(t *testing.T) {
	hidden := tuning{interval: intervalMost, symbols: func() (*kallsyms.Table, error) { return nil, kallsyms.ErrHidden }}
	tr := openTuned(t, ipitrace.Options{NoCost: true}, hidden)
	if got := strings.Join(tr.Missing(), " "); !strings.Contains(got, "Functions have no names") || !strings.Contains(got, "TLB") {
		t.Errorf("missing: %q", got)
	}
	const n = 20
	pid := driveExactly(t, "membarrier", n, n)
	if got := sum(t, closed(t, tr), func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Kind == ipi.Call }); got.IPIs < n {
		t.Errorf("got %d, want %d", got.IPIs, n)
	}
	filter, err := ipifilter.Parse("cause == do_sync_core", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openWith(ipitrace.Options{Filter: filter}, hidden); err == nil || !strings.Contains(err.Error(), "kptr_restrict") {
		t.Errorf("a filter that nothing can pass: %v", err)
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
