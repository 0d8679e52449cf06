package main

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
)

func init() {
	programs["denied"] = denied
	programs["foreign"] = foreign
	programs["lateforeign"] = lateForeign
}

// denied forbids system calls to the whole process with a real seccomp filter,
// then uses keys as ever.
func denied(args []string) (any, error) {
	fs := flags("denied")
	calls := fs.String("calls", "", "comma-separated: membarrier, memfd_create, pwrite64, rt_sigaction")
	after := fs.Bool("after", false, "forbid after arming, not before")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if *after {
		if err := quietpatch.Arm(); err != nil {
			return nil, err
		}
	}
	if err := forbid(strings.Split(*calls, ",")); err != nil {
		return nil, err
	}
	var s scratch
	var r struct {
		Sets   []string         `json:"sets"` // errors, "" for none
		Wrong  int              `json:"wrong"`
		Status quietpatch.State `json:"status"`
	}
	on := false
	for range 4 {
		err := hammerKey.Set(!on)
		if err == nil {
			on = !on
		}
		r.Sets = append(r.Sets, message(err))
		if got, want := roundOnce(&s), roundChecks*count(on); got != want || enabled(&s) != on {
			r.Wrong++
		}
	}
	r.Status = quietpatch.Status()
	return r, nil
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func roundOnce(s *scratch) (on int) {
	for i := range checkFuncs {
		on += checkFuncs[i].f(s)
	}
	return on
}

// forbid makes the system calls fail with EPERM on all threads (seccomp(2),
// SECCOMP_FILTER_FLAG_TSYNC).
func forbid(calls []string) error {
	numbers := map[string]uint32{
		"membarrier": unix.SYS_MEMBARRIER, "memfd_create": unix.SYS_MEMFD_CREATE,
		"pwrite64": unix.SYS_PWRITE64, "rt_sigaction": unix.SYS_RT_SIGACTION,
	}
	prog := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // seccomp_data.nr
	for _, c := range calls {
		nr, ok := numbers[c]
		if !ok {
			return fmt.Errorf("system call %q is not known here", c)
		}
		prog = append(prog,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	prog = append(prog, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// breakpoint writes b over the first byte of the key's nth site, as a debugger
// would, and returns what was there.
func breakpoint(nth int, b byte) (was byte, at uint64, err error) {
	ss, err := hammerKey.Sites()
	if err != nil {
		return 0, 0, err
	}
	fd, err := unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	at = ss[nth].Addr
	var buf [1]byte
	if _, err = unix.Pread(fd, buf[:], int64(at)); err != nil {
		return 0, 0, err
	}
	was = buf[0]
	_, err = unix.Pwrite(fd, []byte{b}, int64(at))
	return was, at, err
}

type foreignReport struct {
	Addr    uint64           `json:"addr"`
	First   string           `json:"first"`  // error of the Set under the breakpoint
	Second  string           `json:"second"` // and after it is gone
	State   string           `json:"state"`  // of the site, under the breakpoint
	Why     string           `json:"why"`
	Armed   int              `json:"armed"`
	Sites   int              `json:"sites"`
	Wrong   int              `json:"wrong"`
	Changed bool             `json:"changed"` // the breakpoint was overwritten
	Status  quietpatch.State `json:"status"`
}

// foreign sets a breakpoint in a site before it is armed.
func foreign([]string) (any, error) { return withBreakpoint(3, false) }

// lateForeign sets it in an armed site.
func lateForeign([]string) (any, error) { return withBreakpoint(3, true) }

func withBreakpoint(nth int, armed bool) (any, error) {
	if armed {
		if err := errors.Join(hammerKey.Enable(), hammerKey.Disable()); err != nil {
			return nil, err
		}
	}
	was, at, err := breakpoint(nth, 0xCC)
	if err != nil {
		return nil, err
	}
	r := foreignReport{Addr: at}
	r.First = message(hammerKey.Enable())
	ss, _ := hammerKey.Sites()
	r.State, r.Why, r.Sites = ss[nth].State, ss[nth].Why, len(ss)
	for _, s := range ss {
		if s.State == "armed" {
			r.Armed++
		}
	}
	found, _, err := breakpoint(nth, was)
	if err != nil {
		return nil, err
	}
	r.Changed = found != 0xCC
	var s scratch
	if on := enabled(&s); roundOnce(&s) != roundChecks*count(on) || on != (r.First == "") {
		r.Wrong++
	}
	r.Second = message(errors.Join(hammerKey.Disable(), hammerKey.Enable()))
	if roundOnce(&s) != roundChecks {
		r.Wrong++
	}
	r.Status = quietpatch.Status()
	return r, nil
}
