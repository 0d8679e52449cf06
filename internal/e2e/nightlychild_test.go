//go:build linux && amd64

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
)

// night is one run of TestNightly.
type night struct {
	seed     uint64
	share    time.Duration // of the variant at hand
	start    time.Time
	printed  time.Time
	children int
	killed   int
	storms   uint64
	batches  uint64 // of the engine: storms and doubled changes are in it
	syncs    uint64
	pokes    uint64
	events   uint64
	sum      map[string]cellReport // by strategy and backend
	kinds    map[string]kindReport
	noise    map[string]int
}

// cellReport and nightlyReport are what prog nightly prints.
type cellReport struct {
	Strategy, Backend                       string
	Flips, Batches, Checks, Verified, Wrong uint64
	Hits                                    uint64 `json:"trap_hits"`
	Late                                    uint64 `json:"trap_late"`
	Retried                                 uint64 `json:"trap_retried"`
	Arms, Disarms                           uint64
}

type kindReport struct {
	Kind                   string
	Flips, Verified, Wrong uint64
	NoWait                 uint64 `json:"no_wait"`
	Refused, Matched, Held uint64
}

type nightlyReport struct {
	Final, Killing     bool
	Seconds            float64
	Cells              []cellReport
	Kinds              []kindReport
	Events             uint64
	First, Fault, Text string
	Storms             uint64
	Noise              map[string]int
	Straddle           int
	RWX                []string
	Status             quietpatch.State
}

func (r *nightlyReport) addTo(sum map[string]cellReport) {
	for _, c := range r.Cells {
		key := c.Strategy + " " + c.Backend
		s := sum[key]
		s.Flips += c.Flips
		s.Batches += c.Batches
		s.Checks += c.Checks
		s.Verified += c.Verified
		s.Wrong += c.Wrong
		s.Hits += c.Hits
		s.Late += c.Late
		s.Retried += c.Retried
		s.Arms += c.Arms
		s.Disarms += c.Disarms
		sum[key] = s
	}
}

func (r *nightlyReport) addKindsTo(sum map[string]kindReport) {
	for _, k := range r.Kinds {
		s := sum[k.Kind]
		s.Flips += k.Flips
		s.Verified += k.Verified
		s.Wrong += k.Wrong
		s.NoWait += k.NoWait
		s.Refused += k.Refused
		s.Matched += k.Matched
		s.Held += k.Held
		sum[k.Kind] = s
	}
}

// add keeps what a process has reported.
func (n *night) add(r *nightlyReport) {
	r.addTo(n.sum)
	r.addKindsTo(n.kinds)
	n.events += r.Events
	n.storms += r.Storms
	n.batches += r.Status.Counters.Batches
	n.syncs += r.Status.Counters.Syncs
	n.pokes += r.Status.Counters.Pokes
	for k, v := range r.Noise {
		n.noise[k] += v
	}
}

// child is one process of prog nightly.
type child struct {
	bin, tags, backend string
	d                  time.Duration
	args, under        []string // more flags; a command to run it under
	seed               uint64
	dir                string // working directory and TMPDIR, "" for the usual ones
}

// ended is how a process ended.
type ended struct {
	last   nightlyReport
	stderr string
	state  *os.ProcessState
	err    error
}

func (c child) argv() []string {
	own := []string{c.bin, "nightly", "-seed", fmt.Sprint(c.seed), "-for", c.d.String(), "-backend", c.backend}
	return append(append(append([]string{}, c.under...), own...), c.args...)
}

// replay is the command that makes the same choices again.
func (c child) replay() string {
	words := append(append([]string{}, c.under...), "go", "run")
	words = append(words, strings.Fields(c.tags+" ./internal/e2e/prog")...)
	return strings.Join(append(words, c.argv()[len(c.under)+1:]...), " ")
}

// stacks keeps more than tail does: why it ended, and the last goroutines.
func stacks(s string) string {
	const part = 8000
	if len(s) > 2*part {
		return s[:part] + "\n[...]\n" + s[len(s)-part:]
	}
	return s
}

// hammer runs a process to its end and checks what it reports.
func (n *night) hammer(t *testing.T, c child) nightlyReport {
	t.Helper()
	e := n.spawn(t, &c)
	r := e.last
	if e.err != nil && strings.Contains(e.stderr, "no core-serializing membarrier") {
		t.Skip("needs membarrier SYNC_CORE: ", e.stderr)
	}
	n.add(&r)
	if e.err != nil || !r.Final {
		t.Fatalf("%v after %.1f s, %s\nreplay: %s\n%s", e.err, r.Seconds, r.Fault, c.replay(), stacks(e.stderr))
	}
	if msg := r.wrong(c); msg != "" {
		t.Fatalf("%s\nreplay: %s\n%s", msg, c.replay(), stacks(e.stderr))
	}
	return r
}

// wrong says what is wrong with a final report, "" if nothing is.
func (r *nightlyReport) wrong(c child) string {
	var msgs []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			msgs = append(msgs, fmt.Sprintf(format, args...))
		}
	}
	var wrong, flips, verified uint64
	for _, x := range r.Cells {
		wrong, flips, verified = wrong+x.Wrong, flips+x.Flips, verified+x.Verified
	}
	s := r.Status
	add(r.Fault != "", "%s", r.Fault)
	add(wrong != 0 || r.First != "", "%d wrong checks; the first: %s", wrong, r.First)
	add(r.Text != "", "after Disarm the text differs from the file: %s", r.Text)
	add(len(r.RWX) != 0, "mappings that are writable and executable: %q", r.RWX)
	add(s.Mode != "live" || s.Backend != c.backend, "mode %s on %s (%s), expected live on %s", s.Mode, s.Backend, s.Reason, c.backend)
	add(s.Armed != s.Sites || s.Sites < 140, "%d of %d sites armed at the end, expected over 140", s.Armed, s.Sites)
	add(s.Unsynced, "a sync is missing at the end")
	add(r.Events != s.Counters.Batches, "a subscriber heard of %d batches, and there were %d", r.Events, s.Counters.Batches)
	add(s.Counters.TrapForeign != 0 || s.Counters.Fallbacks != 0 || len(s.Problems) != 0, "status %+v", s)
	add(c.d > 300*time.Millisecond && flips == 0 || verified < flips, "%d flips, %d verified rounds: the hammer does not hit", flips, verified)
	return strings.Join(msgs, "\n")
}

// stillMax is how long a process may make no flips: longer than its own limit
// for one change (awaitMax of prog).
const stillMax = 90 * time.Second

// spawn runs one process in a group of its own and follows its reports. One
// that stands still is asked for its stacks and killed.
func (n *night) spawn(t *testing.T, c *child) ended {
	t.Helper()
	n.children++
	n.seed++
	c.seed = n.seed
	argv := c.argv()
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	if c.dir != "" {
		cmd.Env = append(cmd.Env, "TMPDIR="+c.dir)
	}
	// The kernel sends Pdeathsig when the thread ends that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var e ended
	still := n.follow(t, out, &e.last, func(sig syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, sig) })
	e.err = errors.Join(still, cmd.Wait())
	e.stderr, e.state = stderr.String(), cmd.ProcessState
	return e
}

// follow reads reports until the process closes its output.
func (n *night) follow(t *testing.T, out io.Reader, last *nightlyReport, signal func(syscall.Signal)) error {
	reports := make(chan nightlyReport)
	go func() {
		defer close(reports)
		for dec := json.NewDecoder(out); ; {
			var r nightlyReport
			if dec.Decode(&r) != nil {
				return // it ended, or what it printed was cut off: it is not final
			}
			reports <- r
		}
	}()
	limit := time.NewTimer(stillMax)
	defer limit.Stop()
	var still error
	for {
		select {
		case r, more := <-reports:
			if !more {
				return still
			}
			if r.Final || r.flips() > last.flips() {
				limit.Reset(stillMax)
			}
			*last = r
			if time.Since(n.printed) > 30*time.Second {
				n.printed = time.Now()
				t.Logf("after %.0f s:\n%s", time.Since(n.start).Seconds(), n.table(last))
			}
		case <-limit.C:
			if still != nil {
				signal(syscall.SIGKILL)
				continue
			}
			still = fmt.Errorf("no flip in %v", stillMax)
			signal(syscall.SIGQUIT) // the runtime prints all stacks
			limit.Reset(10 * time.Second)
		}
	}
}

func (r *nightlyReport) flips() (n uint64) {
	for _, c := range r.Cells {
		n += c.Flips
	}
	return n
}
