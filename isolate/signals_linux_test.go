package isolate_test

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/isolate"
)

func init() {
	scenarios["collector"] = scenarioCollector
	scenarios["signals"] = scenarioSignals
	scenarios["open"] = scenarioOpenSignals
}

func TestCollector(t *testing.T) {
	for _, loop := range []string{"blocked", "open", "guest"} {
		t.Run(loop, func(t *testing.T) { scenario(t, nil, "collector", loop) })
	}
}

func TestSignalsBlocked(t *testing.T) { scenario(t, nil, "signals") }
func TestSignalsOpen(t *testing.T)    { scenario(t, nil, "open") }

// scenarioCollector: a collection does not wait for ever for a loop that lets Go stop it: at
// safepoints if signals are blocked, anywhere if not.
func scenarioCollector(c *child) {
	c.reserve()
	var stop atomic.Bool
	loops := map[string]func(t *isolate.Thread){
		"blocked": func(t *isolate.Thread) {
			for !stop.Load() {
				t.Safepoint()
			}
		},
		"open": func(*isolate.Thread) {
			for !stop.Load() { // no call
			}
		},
		"guest": func(t *isolate.Thread) { // a system call that waits, as foreign code does
			r, w, err := os.Pipe()
			must(err)
			time.AfterFunc(time.Millisecond, func() {
				until(stop.Load)
				_, _ = w.Write([]byte{1})
			})
			fd := int(r.Fd())
			t.Guest(func() { _, _ = unix.Read(fd, make([]byte, 1)) })
			must(r.Close())
		},
	}
	ended := c.apart(isolate.Options{BlockSignals: c.args[0] != "open"}, loops[c.args[0]])
	var m runtime.MemStats
	for range 10 {
		runtime.KeepAlive(make([]byte, 1<<20))
		runtime.GC()
		runtime.ReadMemStats(&m) // stops the world, too
	}
	stop.Store(true)
	<-ended
	fmt.Printf("%d collections\n", m.NumGC)
}

// pending reports whether a signal waits for the thread, and whether it is blocked there.
func pending(tid int, s unix.Signal) (waits, blocked bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	must(err)
	bit := func(name string) bool {
		_, rest, found := strings.Cut(string(b), name+":\t")
		var mask uint64
		if _, err := fmt.Sscanf(rest, "%x", &mask); !found || err != nil {
			fail("%s of thread %d: %v in %s", name, tid, err, b)
		}
		return mask>>(s-1)&1 != 0
	}
	return bit("SigPnd"), bit("SigBlk")
}

// scenarioSignals: with BlockSignals they wait until Run has returned.
func scenarioSignals(c *child) {
	c.reserve()
	came := make(chan os.Signal, 16)
	signal.Notify(came, unix.SIGUSR1)
	for range 3 {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			c.run(isolate.Options{BlockSignals: true}, func(t *isolate.Thread) {
				tid := c.thread().TID
				for _, s := range []unix.Signal{unix.SIGUSR1, unix.SIGURG, unix.SIGPROF} {
					must(unix.Tgkill(unix.Getpid(), tid, s))
					for _, state := range states {
						call(t, state, func() {
							t.Safepoint()
							if waits, blocked := pending(tid, s); !waits || !blocked {
								fail("%v in %s: it waits %v, is blocked %v", s, state, waits, blocked)
							}
						})
					}
				}
				for _, s := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGTRAP, unix.SIGILL} {
					if _, blocked := pending(tid, s); blocked {
						fail("%v is blocked: a thread raises it itself", s)
					}
				}
				time.Sleep(10 * time.Millisecond)
				if len(came) > 0 {
					fail("%v came in isolation", <-came)
				}
			})
			for _, s := range []unix.Signal{unix.SIGUSR1, unix.SIGURG, unix.SIGPROF} {
				if waits, blocked := pending(unix.Gettid(), s); waits || blocked {
					fail("%v after Run: it waits %v, is blocked %v", s, waits, blocked)
				}
			}
		}()
		<-ended
		if s := <-came; s != unix.SIGUSR1 {
			fail("%v came", s)
		}
	}
}

// scenarioOpenSignals: without BlockSignals Go handles them on the thread, which stays as
// isolated as it was.
func scenarioOpenSignals(c *child) {
	c.reserve()
	came := make(chan os.Signal, 16)
	signal.Notify(came, unix.SIGUSR1)
	var got, stop atomic.Bool
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) {
		for !stop.Load() {
		}
		got.Store(true)
	})
	before := c.thread()
	for range 5 {
		must(unix.Tgkill(unix.Getpid(), before.TID, unix.SIGURG))
		must(unix.Tgkill(unix.Getpid(), before.TID, unix.SIGUSR1))
		<-came
		if after := c.thread(); after != before {
			fail("%+v became %+v", before, after)
		}
	}
	if got.Load() {
		fail("the loop has ended by itself")
	}
	stop.Store(true)
	<-ended
}
