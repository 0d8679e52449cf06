package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
)

func init() { programs["uprobe"] = withUprobe }

// probed is the function that gets a uprobe, as a rule; it has nothing to do with keys.
//
//go:noinline
func probed(n int) int {
	if n == 0 {
		return 0
	}
	return probed(n-1) + 1
}

// probedAt returns the beginning of a function that gets a uprobe: if it comes late one that has
// moved, if any has, because of the sites around it.
func probedAt(late bool) uint64 {
	at := uint64(reflect.ValueOf(probed).Pointer())
	if !late {
		return at
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for _, c := range checkFuncs {
		f := uint64(reflect.ValueOf(c.f).Pointer())
		for line := range strings.Lines(string(maps)) {
			var from, to uint64
			_, err := fmt.Sscanf(line, "%x-%x r-xs", &from, &to) // shared: none is, but the alias
			if err == nil && from <= f && f < to {
				return f
			}
		}
	}
	return at
}

// uprobeReport is what `prog uprobe` prints.
type uprobeReport struct {
	report
	Stands bool   `json:"stands"` // the uprobe's breakpoint is in the text
	Why    string `json:"why"`    // of a site that carries the uprobe
	Again  int    `json:"again"`  // sites armed after the uprobe was gone
}

// withUprobe sets a real uprobe (perf_event_open(2), as perf and eBPF tools do)
// on a function or on a site of this very program, and flips keys meanwhile.
func withUprobe(args []string) (any, error) {
	fs := flags("uprobe")
	strategy := fs.String("strategy", "", "store or int3")
	backend := fs.String("backend", "", "procmem or alias")
	late := fs.Bool("late", false, "set it after arming")
	site := fs.Uint64("site", 0, "set it on the check at this address, not on a function")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure(*strategy, *backend); err != nil {
		return nil, err
	}
	if *late {
		if err := errors.Join(hammerKey.Enable(), hammerKey.Disable()); err != nil {
			return nil, err
		}
	}
	at := probedAt(*late)
	if *site != 0 {
		at = *site
	}
	fd, err := uprobe(at)
	if err != nil {
		return nil, err
	}
	var r uprobeReport
	if r.report, err = hammerProbed(); err != nil {
		return nil, err
	}
	p := uintptr(at)
	r.Stands = **(**byte)(unsafe.Pointer(&p)) == 0xCC
	ss, err := hammerKey.Sites()
	if err != nil {
		return nil, err
	}
	for _, s := range ss {
		if s.Addr == *site {
			r.Why = s.Why
		}
	}
	if err := errors.Join(unix.Close(fd), quietpatch.Arm()); err != nil {
		return nil, err
	}
	if r.Again = quietpatch.Status().Armed; *site != 0 {
		var s scratch
		if err := hammerKey.Enable(); err != nil || roundOnce(&s) != roundChecks {
			return nil, fmt.Errorf("after the uprobe is gone: %d of %d checks on, %w", roundOnce(&s), roundChecks, err)
		}
	}
	return r, nil
}

// hammerProbed flips under load, and calls the probed function all the time.
func hammerProbed() (report, error) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var t tally
	t.start(done, &wg)
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if probed(3) != 3 {
					panic("probed")
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	n, err := t.flipMany(200, time.Minute)
	close(done)
	wg.Wait()
	s := quietpatch.Status()
	return report{Flips: n, Checks: t.checks.Load(), Verified: t.verified.Load(), Wrong: t.wrong.Load(), Armed: s.Armed, Sites: s.Sites, Status: s}, err
}

// uprobe sets a uprobe at an address of this program. Closing fd removes it.
func uprobe(addr uint64) (fd int, err error) {
	b, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if err != nil {
		return 0, fmt.Errorf("no uprobes: %w", err)
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return 0, err
	}
	off, err := fileOffset(addr)
	if err != nil {
		return 0, err
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	path, err := unix.BytePtrFromString(exe)
	if err != nil {
		return 0, err
	}
	attr := unix.PerfEventAttr{
		Type: uint32(kind), Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Ext1: uint64(uintptr(unsafe.Pointer(path))), Ext2: off, Bits: unix.PerfBitInherit,
	}
	fd, err = unix.PerfEventOpen(&attr, os.Getpid(), -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("no uprobes: perf_event_open: %w", err)
	}
	return fd, nil
}

// fileOffset finds an address of the text in the executable file.
func fileOffset(addr uint64) (uint64, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		var lo, hi, off uint64
		var perms string
		if n, _ := fmt.Sscanf(line, "%x-%x %s %x", &lo, &hi, &perms, &off); n == 4 && lo <= addr && addr < hi {
			return addr - lo + off, nil
		}
	}
	return 0, fmt.Errorf("%#x is not mapped", addr)
}
