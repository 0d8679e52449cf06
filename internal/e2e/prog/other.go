package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch"
)

// forkExec starts processes in a loop while keys flip by int3. Between fork and
// exec the child runs in this memory with its signal handlers cleared: a trap
// byte in its way would kill it.
func forkExec(args []string) (any, error) {
	fs := flags("forkexec")
	n := fs.Int("n", 200, "processes to start")
	backend := fs.String("backend", "", "procmem or alias")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure("int3", *backend); err != nil {
		return nil, err
	}
	done, enough := make(chan struct{}), make(chan struct{})
	var wg, flipper sync.WaitGroup
	var t tally
	var flips int
	var flipErr error
	t.start(done, &wg)
	flipper.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			var m int
			m, flipErr = t.flipMany(10, time.Minute)
			flips += m
			if flipErr != nil {
				return
			}
		}
	})
	var runErr error
	for i := range *n {
		if out, err := exec.Command("/bin/true").CombinedOutput(); err != nil {
			runErr = fmt.Errorf("process %d: %w: %s", i, err, out)
			break
		}
	}
	close(enough)
	flipper.Wait() // it waits for the workers: they stop last
	close(done)
	wg.Wait()
	r := report{Flips: flips, Checks: t.checks.Load(), Verified: t.verified.Load(), Wrong: t.wrong.Load(), Status: quietpatch.Status()}
	return r, errors.Join(runErr, flipErr)
}

// disarm flips, disarms, flips from memory and arms again, while checks run.
func disarm(args []string) (any, error) {
	fs := flags("disarm")
	rounds := fs.Int("rounds", 50, "how often")
	backend := fs.String("backend", "", "procmem or alias")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure("", *backend); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	var t tally
	t.start(done, &wg)
	var err error
	for range *rounds {
		var n int
		if n, err = t.flipMany(10, time.Minute); err == nil {
			err = quietpatch.Disarm()
		}
		if err == nil {
			n, err = t.flipMany(10, time.Minute)
		}
		if err == nil {
			err = quietpatch.Arm()
		}
		if err != nil {
			err = fmt.Errorf("after %d flips: %w", n, err)
			break
		}
	}
	close(done)
	wg.Wait()
	return report{Checks: t.checks.Load(), Verified: t.verified.Load(), Wrong: t.wrong.Load(), Status: quietpatch.Status()}, err
}

// spin runs checks for a while with armed sites, for a profiler to look at.
func spin(args []string) (any, error) {
	fs := flags("spin")
	backend := fs.String("backend", "", "procmem or alias")
	d := fs.Duration("for", time.Second, "how long")
	profile := fs.String("profile", "", "write a CPU profile to this file")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure("", *backend); err != nil {
		return nil, err
	}
	if err := hammerKey.Enable(); err != nil {
		return nil, err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	epoch.Store(2)
	done := make(chan struct{})
	time.AfterFunc(*d, func() { close(done) })
	var t tally
	t.work(done)
	return report{Checks: t.checks.Load(), Verified: t.verified.Load(), Wrong: t.wrong.Load(), Status: quietpatch.Status()}, nil
}

// panics panics behind an armed site and returns the traceback.
func panics([]string) (any, error) {
	if err := hammerKey.Enable(); err != nil {
		return nil, err
	}
	trace := func() (trace string) {
		defer func() {
			if recover() != nil {
				trace = string(debug.Stack())
			}
		}()
		panicBehindCheck()
		return ""
	}()
	if !strings.Contains(trace, "main.panicBehindCheck") {
		fmt.Fprintln(os.Stderr, trace)
		return nil, errors.New("the traceback does not name the function with the site")
	}
	return map[string]string{"traceback": trace}, nil
}

//go:noinline
func panicBehindCheck() {
	if hammerKey.Enabled() {
		panic("on")
	}
}
