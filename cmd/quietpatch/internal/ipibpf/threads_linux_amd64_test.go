package ipibpf

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

// TestInterrupted: the driver's own thread has the CPU that it interrupts.
func TestInterrupted(t *testing.T) {
	const n = 200
	for _, opts := range []ipitrace.Options{{Interrupted: true}, {Interrupted: true, NoCost: true}, {}} {
		tr := open(t, opts)
		pid := driveExactly(t, "membarrier", n, n)
		s := closed(t, tr)
		var runs, cost uint64
		for _, i := range s.Interrupted {
			cause := i.Cause == "ipi_sync_core" || tr.averages && i.Cause == ""
			if i.CPU != victim || i.Runs == 0 {
				t.Errorf("got %+v", i)
			}
			if i.PID == pid && i.TID != pid && i.TID != 0 && i.Kind == ipi.Call && cause && i.Comm != "" && i.Thread != "" {
				t.Logf("%+v", i)
				runs += i.Runs
				cost += i.CostNS
			}
		}
		want := uint64(0)
		if opts.Interrupted {
			want = n
		}
		more := tr.averages && runs > want && runs < want+n/10
		if runs != want && !more || (cost == 0) != (want == 0) {
			t.Errorf("%+v: got %d runs, %d ns, want %d; %+v", opts, runs, cost, want, s.Interrupted)
		}
	}
}

const insideEnv = "IPIBPF_INSIDE"

// TestNamespace runs TestInside in another PID namespace.
func TestNamespace(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	open(t, ipitrace.Options{}).Close() // or skip
	cmd := exec.Command(exe, "-test.run=^TestInside$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip("see above")
	}
}

// TestInside: processes have the numbers that the tracer's namespace gives them, in options,
// filters and rows; and the tracer knows its own.
func TestInside(t *testing.T) {
	if os.Getenv(insideEnv) == "" {
		t.Skip("TestNamespace runs this")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Skipf("mount /proc: %v", err)
	}
	if pid := os.Getpid(); pid != 1 {
		t.Fatalf("process %d, expected 1", pid)
	}
	TestFollow(t)
	TestOwn(t)
	const n = 50
	for _, other := range []bool{false, true} {
		for _, filter := range []bool{false, true} {
			started := start(t, "membarrier", n)
			pid := started.PID()
			asked := pid
			if other {
				asked = 1
			}
			opts := ipitrace.Options{TGIDs: []int32{int32(asked)}}
			if filter {
				opts = ipitrace.Options{Filter: mustFilter(t, fmt.Sprintf("tgid == %d", asked))}
			}
			tr := open(t, opts)
			started.Finish(t)
			s := closed(t, tr)
			got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
			if received := uint64(started.Received()); !other && (got.IPIs > received || got.IPIs < n*9/10) || other && got.IPIs > 0 {
				t.Errorf("process %d, asked for %d: got %d of %d", pid, asked, got.IPIs, received)
			}
			if own := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == 1 && r.Cause == "do_sync_core" }); own.IPIs > 0 {
				t.Errorf("rows have %d of the tracer's own, %d are told", own.IPIs, s.SelfIPIs)
			}
		}
	}
}

// TestEnds: the number of a process and of its thread is forgotten when others can have it, not before
// the process has closed its files, and the children that are followed do not fill the set.
func TestEnds(t *testing.T) {
	const children = 20
	first := start(t, "membarrier", 1)
	pid := uint32(first.PID())
	tr := open(t, ipitrace.Options{TGIDs: []int32{int32(pid), int32(os.Getpid())}, PIDs: []int32{int32(pid)}, Follow: true})
	if !has(tr, "tgids", pid) || !has(tr, "pids", pid) {
		t.Fatal("the process that was asked for is not in the set")
	}
	first.Finish(t)
	for range children {
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Skip(err)
		}
	}
	onlyLeft(t, tr, uint32(os.Getpid()))
	if has(tr, "pids", pid) {
		t.Error("the thread that was asked for is still in the set")
	}
}

func has(tr *Tracer, name string, id uint32) bool {
	var as uint8
	return tr.coll.Maps[name].Lookup(id, &as) == nil
}

// onlyLeft waits until the kernel has freed all processes that were followed but those.
func onlyLeft(t *testing.T, tr *Tracer, want ...uint32) {
	t.Helper()
	slices.Sort(want)
	var left []uint32
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // RCU frees
		var err error
		if left, _, err = entries[uint32, uint8](tr.coll.Maps["tgids"]); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(left); slices.Equal(left, want) {
			return
		}
	}
	for _, id := range left {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
		t.Logf("process %d: %v\n%s", id, err, status)
	}
	missed, err := tr.missed()
	t.Errorf("in the set are %d, expected %d; programs that could not run: %d, %v", left, want, missed, err)
}
