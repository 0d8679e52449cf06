package isolate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

// Isolation moves threads, changes signal masks and text, and may crash what does it wrong: each
// scenario has a process of its own, the test binary with the scenario's name in the
// environment.
const scenarioEnv = "ISOLATE_TEST_SCENARIO"

var scenarios = map[string]func(*child){}

// child is the process that a scenario runs in.
type child struct {
	allowed []int
	cpu     int // the last one, for the isolated thread
	args    []string
}

// skipped is what a child prints in front of the reason, when something is missing.
const (
	skipped = "scenario skipped: "
	done    = "scenario done"
)

func TestMain(m *testing.M) {
	words := strings.Fields(os.Getenv(scenarioEnv))
	if len(words) == 0 {
		os.Exit(m.Run())
	}
	allowed, err := allowedCPUs()
	f := scenarios[words[0]]
	if err != nil || f == nil {
		fail("scenario %q on CPUs %v, %v", words[0], allowed, err)
	}
	f(&child{allowed, allowed[len(allowed)-1], words[1:]})
	fmt.Println(done)
	os.Exit(0)
}

func allowedCPUs() (cpus []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// scenarioLimit is for what hangs: many times what any scenario takes.
const scenarioLimit = 2 * time.Minute

// scenario runs one, with arguments, in an environment of its own.
func scenario(t *testing.T, env []string, words ...string) {
	t.Helper()
	allowed, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	if len(allowed) < 2 {
		t.Skipf("needs 2 CPUs that the process may run on, has %v", allowed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scenarioLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), scenarioEnv+"="+strings.Join(words, " "), "GORACE=atexit_sleep_ms=0"), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // prints where it hangs
	cmd.WaitDelay = 5 * time.Second
	runtime.LockOSThread() // whose end is the child's
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	text := strings.TrimSpace(out.String())
	if _, why, found := strings.Cut(text, skipped); found && err == nil {
		t.Skip(why)
	}
	if err != nil || !strings.HasSuffix(text, done) {
		t.Errorf("%v\n%s", err, text)
	}
	if log := strings.TrimSuffix(text, done); log != "" && err == nil {
		t.Log(strings.TrimSpace(log))
	}
}

// fail ends the process.
func fail(format string, args ...any) { failAt(1, format, args...) }

func failAt(skip int, format string, args ...any) {
	_, file, line, _ := runtime.Caller(skip + 1)
	fmt.Printf("%s:%d: %s\n", file, line, fmt.Sprintf(format, args...))
	os.Exit(1)
}

// skip ends the process for want of something.
func skip(what string) {
	fmt.Println(skipped + what)
	os.Exit(0)
}

// must is for errors that nobody expects.
func must(err error) {
	if err != nil {
		failAt(1, "%v", err)
	}
}

func (c *child) reserve() *isolate.Reservation {
	r, err := isolate.Reserve(fmt.Sprint(c.cpu))
	if err != nil {
		failAt(1, "Reserve: %v", err)
	}
	return r
}

// run isolates the calling goroutine, which must succeed.
func (c *child) run(o isolate.Options, f func(t *isolate.Thread)) {
	o.CPU = c.cpu
	if err := isolate.Run(o, f); err != nil {
		failAt(1, "Run: %v", err)
	}
}

// apart runs f on a goroutine of its own in isolation, and returns when it is there.
func (c *child) apart(o isolate.Options, f func(t *isolate.Thread)) (ended chan struct{}) {
	began := make(chan struct{})
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		c.run(o, func(t *isolate.Thread) {
			close(began)
			f(t)
		})
	}()
	<-began
	return ended
}

// thread is what Status says of the CPU's thread.
func (c *child) thread() isolate.ThreadState {
	for _, t := range isolate.Status().Threads {
		if t.CPU == c.cpu {
			return t
		}
	}
	return isolate.ThreadState{}
}

// spares reports whether an isolated thread is left alone by syncs, and if not, why. It is
// asked while one is isolated.
func spares() (yes bool, why string) {
	why = isolate.Status().Why
	return why == "", why
}

// until waits for what has no channel. It is no limit on time: the scenario has one.
func until(what func() bool) {
	for !what() {
		time.Sleep(time.Millisecond)
	}
}

// masks is what a thread has that Run changes.
type masks struct {
	cpus    unix.CPUSet
	signals unix.Sigset_t
}

func ownMasks() (m masks) {
	must(unix.SchedGetaffinity(0, &m.cpus))
	must(unix.PthreadSigmask(unix.SIG_BLOCK, nil, &m.signals))
	return m
}

// problems returns those that contain all words.
func problems(words ...string) (found []string) {
	for _, p := range quietpatch.Status().Problems {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(p, w) }) {
			found = append(found, p)
		}
	}
	return found
}

// wantError expects an error that wraps another and says something.
func wantError(err, wrapped error, words ...string) {
	if !errors.Is(err, wrapped) {
		failAt(1, "expected %v, found %v", wrapped, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			failAt(1, "expected %q in the error: %v", w, err)
		}
	}
}

// spin lets time pass without a call.
func spin(n int) {
	for range n {
		spun.Add(1)
	}
}

var spun atomic.Uint64
