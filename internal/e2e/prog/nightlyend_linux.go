package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// profileHz is ten times what profilers take.
const profileHz = 1000

// profile writes a CPU profile of the whole run at a high rate, and what
// blocked and contended, into the directory that was asked for.
func (h *nightly) profile() (stop func() error, err error) {
	dir := h.o.profiles
	if dir == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(dir, "cpu"))
	if err != nil {
		return nil, err
	}
	// StartCPUProfile asks for 100 a second. The runtime keeps a rate that was
	// set before, and says so on stderr.
	runtime.SetCPUProfileRate(profileHz)
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	return func() error {
		pprof.StopCPUProfile()
		err := f.Close()
		for _, name := range []string{"block", "mutex"} {
			g, e := os.Create(filepath.Join(dir, name))
			if e != nil {
				return errors.Join(err, e)
			}
			err = errors.Join(err, pprof.Lookup(name).WriteTo(g, 0), g.Close())
		}
		return err
	}, nil
}

// killSelf ends the process in the middle of a change, at a moment that the
// seed and the scheduler choose. Another process that was started while keys
// flipped lives on: whatever it holds was left behind.
func (h *nightly) killSelf(r *rand.Rand) {
	signals := map[string]unix.Signal{"KILL": unix.SIGKILL, "ABRT": unix.SIGABRT, "QUIT": unix.SIGQUIT}
	sig, ok := signals[h.o.kill]
	if !ok {
		h.fail("-kill %q: expected KILL, ABRT or QUIT", h.o.kill)
		return
	}
	if err := exec.Command("/bin/sleep", "600").Start(); err != nil {
		h.fail("a process that stays: %v", err)
		return
	}
	go func() {
		runtime.LockOSThread()
		pause(r, h.o.d, h.faulted)
		p := h.report()
		p.Killing = true
		h.print(p)
		spins := r.IntN(100_000)
		for deadline := time.Now().Add(time.Second); !anyBusy() && time.Now().Before(deadline); {
		}
		for range spins {
			anyBusy()
		}
		_ = unix.Kill(unix.Getpid(), sig)
	}()
	<-h.faulted // the process ends by the signal
}

func anyBusy() bool {
	for _, k := range changingKeys {
		if k.word.Load()&busyBit != 0 {
			return true
		}
	}
	return false
}

// rwx lists the mappings that are writable and executable.
func rwx() (lines []string) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(maps)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], "rwx") {
			lines = append(lines, line)
		}
	}
	return lines
}

// textDiffers compares the text of the process with the file, "" if they are
// the same. The program is no PIE: text lies where the file says.
func textDiffers() string {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text := f.Section(".text")
	if text == nil || f.Type != elf.ET_EXEC {
		return fmt.Sprintf("expected an executable of type ET_EXEC with a .text section, found %v", f.Type)
	}
	file, err := text.Data()
	if err != nil {
		return err.Error()
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return err.Error()
	}
	defer mem.Close()
	live := make([]byte, len(file))
	if _, err := mem.ReadAt(live, int64(text.Addr)); err != nil {
		return err.Error()
	}
	if bytes.Equal(live, file) {
		return ""
	}
	n, first := 0, 0
	for i := range live {
		if live[i] != file[i] {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	return fmt.Sprintf("%d bytes differ, the first at %#x: expected %#x, found %#x", n, text.Addr+uint64(first), file[first], live[first])
}
