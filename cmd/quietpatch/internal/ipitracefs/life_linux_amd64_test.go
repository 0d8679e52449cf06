package ipitracefs

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestSelf: what the start and the stop send is told, and is in no row.
func TestSelf(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := affinity.Pin(sender); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []ipitrace.Options{{}, {NoCost: true}, {Stacks: true}} {
		// The readings are not made in the very moments, and others send, too.
		const tries = 8
		slack := uint64(60)
		if os.Getenv(victimEnv) != "" { // it is isolated
			slack = 2
		}
		for try := 1; ; try++ {
			before := interrupts.Read()
			tr := open(t, opts)
			first, err := tr.Read()
			if err != nil {
				t.Fatal(err)
			}
			s := closed(t, tr)
			d := interrupts.Read().IPIsSince(before, victim)
			t.Logf("start %d, stop %d, /proc/interrupts %+v", first.SelfIPIs, s.SelfIPIs-first.SelfIPIs, d)
			if got := sum(t, s, func(r *ipi.Row) bool { return r.Cause == "do_sync_core" && r.Sender.PID == os.Getpid() }); got.IPIs > 0 {
				t.Errorf("%v: rows have %d of the tracer's own", opts, got.IPIs)
			}
			if s.SelfIPIs > 0 && s.SelfIPIs <= d.Call+slack/2 && d.Call <= s.SelfIPIs+slack {
				break
			}
			if try < tries {
				continue
			}
			if d.Call > s.SelfIPIs && d.Call < 2*s.SelfIPIs && os.Getenv(victimEnv) == "" {
				t.Skipf("%d are told, %d came: others use the CPU", s.SelfIPIs, d.Call)
			}
			t.Errorf("%d are told, %d came", s.SelfIPIs, d.Call)
			break
		}
	}
}

// TestCheck: the check and the start agree, and everything says what is lost without it.
func TestCheck(t *testing.T) {
	ok := true
	for _, f := range Check() {
		t.Logf("%+v", f)
		ok = ok && (f.OK || !f.Needed)
		if f.Name == "" || f.Lost == "" || !f.OK && f.Why == "" {
			t.Errorf("%+v: something is not said", f)
		}
	}
	tr, err := Open(ipitrace.Options{})
	if err == nil {
		tr.Close()
	}
	if ok != (err == nil) {
		t.Errorf("the check says %v, the start %v", ok, err)
	}
}

// TestNamespace: in another PID namespace IPIs are counted, under the numbers of the first one;
// processes cannot be selected there.
func TestNamespace(t *testing.T) {
	open(t, ipitrace.Options{}).Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^(TestMembarrier|TestProcess)$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "--- PASS: TestMembarrier") || !strings.Contains(string(out), "cannot be selected") {
		t.Errorf("%v: %s", err, out)
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
