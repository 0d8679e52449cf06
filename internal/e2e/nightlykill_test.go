//go:build linux && amd64

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nightlyKill lets processes end themselves in the middle of flips, over and
// over: by SIGKILL, and by SIGABRT and SIGQUIT, for which the runtime prints
// the stacks of all goroutines. Text is never written to the file, so the next
// start finds everything as it was, and nothing stays behind.
func nightlyKill(t *testing.T, n *night) {
	bin := build(t, nil)
	file, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var before sitesReport
	run(t, &before, bin, "sites")
	live(t, before.Status)
	d := min(n.share/6, 500*time.Millisecond)
	start := time.Now()
	for first := true; first || time.Since(start) < n.share; first = false {
		for _, sig := range []string{"KILL", "ABRT", "QUIT"} {
			for _, b := range nightlyBackends {
				n.killOne(t, child{bin: bin, backend: b, d: d, args: []string{"-kill", sig}}, sig)
				after, err := os.ReadFile(bin)
				if err != nil || !bytes.Equal(file, after) {
					t.Fatalf("after SIG%s on %s the executable file has changed (%v)", sig, b, err)
				}
				n.freshStart(t, bin, b, before)
			}
		}
	}
}

// killOne runs one process that ends itself, and looks at what it leaves.
func (n *night) killOne(t *testing.T, c child, sig string) {
	t.Helper()
	c.dir = t.TempDir()
	beside := list(t, filepath.Dir(c.bin))
	e := n.spawn(t, &c)
	n.killed++
	n.add(&e.last)
	group := e.state.Pid()
	defer func() { _ = syscall.Kill(-group, syscall.SIGKILL) }() // the process that stayed
	where := fmt.Sprintf("SIG%s on %s\nreplay: %s\n%s", sig, c.backend, c.replay(), stacks(e.stderr))
	status := e.state.Sys().(syscall.WaitStatus)
	if sig == "KILL" {
		if !status.Signaled() || status.Signal() != syscall.SIGKILL || !e.last.Killing {
			t.Fatalf("%v, expected it to kill itself: %s", e.err, where)
		}
	} else {
		checkStacks(t, status, e.stderr, where)
	}
	if r := e.last; r.First != "" || r.Fault != "" {
		t.Fatalf("before its end: %s %s: %s", r.First, r.Fault, where)
	}
	if left := list(t, c.dir); len(left) != 0 {
		t.Errorf("files are left: %q: %s", left, where)
	}
	if now := list(t, filepath.Dir(c.bin)); !slices.Equal(beside, now) {
		t.Errorf("beside the executable were %q, now %q: %s", beside, now, where)
	}
	leftOver(t, group, where)
}

// checkStacks: the runtime has walked all stacks, through functions with
// sites, and found nothing strange.
func checkStacks(t *testing.T, status syscall.WaitStatus, stderr, where string) {
	t.Helper()
	if !status.Exited() || status.ExitStatus() != 2 {
		t.Errorf("status %#x, expected exit code 2 of the Go runtime: %s", int(status), where)
	}
	for _, want := range []string{"SIG", "goroutine ", "main.(*nightly)"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the stacks lack %q: %s", want, where)
		}
	}
	for _, bad := range []string{"fatal error:", "SIGTRAP", "SIGILL", "SIGSEGV", "unknown pc", "unexpected return pc", "panic during"} {
		if strings.Contains(stderr, bad) {
			t.Errorf("the stacks hold %q: %s", bad, where)
		}
	}
}

// leftOver looks at the processes that the dead one has started. One of them
// (a sleep) lives on, started when text had moved already: it must hold no memfd
// and no mapping of one. Between fork and exec a child does, so each is asked
// again until it has its own memory.
func leftOver(t *testing.T, group int, where string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		held, pids := "", inGroup(t, group)
		for _, pid := range pids {
			held += memfds(pid)
		}
		if held == "" && len(pids) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d processes live on, expected the one that sleeps; memfds that they hold: %q: %s", len(pids), held, where)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// inGroup lists the processes of a process group, zombies left out.
func inGroup(t *testing.T, group int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range stats {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid pgrp: proc_pid_stat(5). comm may hold anything.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) < 3 || f[0] == "Z" || f[2] != fmt.Sprint(group) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		pids = append(pids, pid)
	}
	return pids
}

// memfds names the memfds that a process has open or mapped.
func memfds(pid int) string {
	var held strings.Builder
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.Contains(to, "memfd:") {
			fmt.Fprintf(&held, "%s -> %s\n", fd, to)
		}
	}
	maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:") {
			held.WriteString(line)
		}
	}
	return held.String()
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

// freshStart: the same binary works again, with the same sites, all armed.
func (n *night) freshStart(t *testing.T, bin, backend string, before sitesReport) {
	t.Helper()
	var s sitesReport
	run(t, &s, bin, "sites")
	if s.Status.Armed != before.Status.Armed || !slices.Equal(s.Sites["prog.hammer"], before.Sites["prog.hammer"]) {
		t.Fatalf("the next start has armed %d sites, expected %d, the same ones:\n%+v\n%+v", s.Status.Armed, before.Status.Armed, s.Sites, before.Sites)
	}
	n.hammer(t, child{bin: bin, backend: backend, d: 20 * time.Millisecond})
}
