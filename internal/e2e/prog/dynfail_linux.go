package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
)

func init() {
	programs["dynfail"] = dynFail
	programs["dynforeign"] = dynForeign
}

// dynFailReport is what `prog dynfail` prints.
type dynFailReport struct {
	Start   string             `json:"start"` // errors, "" for none
	Stop    string             `json:"stop"`
	Again   string             `json:"again"` // of a Start behind Stop, and of its Stop
	Before  dyncall.Statistics `json:"before"`
	Stats   dyncall.Statistics `json:"stats"` // under the failure
	Stopped dyncall.Statistics `json:"stopped"`
	Places  callPlaces         `json:"places"`
	Wrong   uint64             `json:"wrong"`
	First   string             `json:"first"`
	Stubs   []stubUse          `json:"stubs"` // one after each second
	Status  quietpatch.State   `json:"status"`
}

// callPlaces says where the calls lead.
type callPlaces struct {
	Thunk int `json:"thunk"` // as in the file
	Stub  int `json:"stub"`
	Else  int `json:"else"`
}

// dynFailure is what is not as it should be.
type dynFailure struct {
	calls  string
	disarm bool
	after  bool
}

func (f *dynFailure) happen() error {
	switch {
	case f.disarm:
		return quietpatch.Disarm()
	case f.calls != "":
		return forbid(strings.Split(f.calls, ","))
	}
	return nil
}

// dynFail learns where something is not as it should be: system calls are denied, before or
// after the first calls are promoted, or the text was disarmed for good.
func dynFail(args []string) (any, error) {
	var f dynFailure
	fs := flags("dynfail")
	fs.StringVar(&f.calls, "calls", "", "system calls to deny, comma-separated")
	fs.BoolVar(&f.disarm, "disarm", false, "Disarm")
	fs.BoolVar(&f.after, "after", false, "when calls are promoted, not before")
	backend := fs.String("backend", "", "procmem, alias or none")
	strategy := fs.String("strategy", "", "store or int3")
	seconds := fs.Int("seconds", 1, "how long to try under the failure")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure(*strategy, *backend); err != nil {
		return nil, err
	}
	var t dynTally
	defer busyCalls(&t)()
	r := &dynFailReport{}
	if err := r.learn(&f, *seconds); err != nil {
		return nil, err
	}
	time.Sleep(20 * time.Millisecond) // callers go on
	r.Wrong, r.Status = t.wrong.Load(), quietpatch.Status()
	if p := t.first.Load(); p != nil {
		r.First = *p
	}
	return r, nil
}

func (r *dynFailReport) learn(f *dynFailure, seconds int) error {
	text, err := readText()
	if err != nil {
		return err
	}
	if !f.after {
		if err := f.happen(); err != nil {
			return err
		}
	}
	r.Start = message(dyncall.Start(impatient("main.*")))
	r.Before = untilStats(10*time.Second, func(s dyncall.Statistics) bool { return s.Relearnings > 50 || s.Error != "" || !s.Running })
	if f.after {
		if err := f.happen(); err != nil {
			return err
		}
	}
	r.Stats = untilStats(2*time.Second, func(s dyncall.Statistics) bool { return s.Error != "" || !s.Running })
	for range seconds {
		time.Sleep(time.Second)
		r.Stubs = append(r.Stubs, stubsInUse())
	}
	sites := dyncall.Sites()
	r.Stop = message(dyncall.Stop())
	r.Stopped = dyncall.Stats()
	r.Places = text.places(sites)
	if r.Again = message(dyncall.Start(impatient("main.*"))); r.Again == "" {
		r.Again = message(dyncall.Stop())
	}
	return nil
}

func impatient(functions string) dyncall.Options {
	return dyncall.Options{
		Functions: []string{functions}, Misses: 10, Window: 2 * time.Millisecond, Wake: time.Millisecond, WakeMax: 2 * time.Millisecond,
	}
}

// busyCalls makes calls on goroutines of its own until stopped, whose targets change.
func busyCalls(t *dynTally) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range uint64(3) {
		wg.Go(func() {
			c := newDynCaller(i+1, t)
			defer c.close()
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
					c.round(true)
				}
				if i == 0 && n%500 == 0 {
					dynPhase.Add(1)
				}
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

// untilStats waits for it, for so long.
func untilStats(limit time.Duration, is func(dyncall.Statistics) bool) dyncall.Statistics {
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if s := dyncall.Stats(); is(s) || time.Now().After(deadline) {
			return s
		}
	}
}

// places looks at each call: nothing but a call of its thunk or of a stub is right.
func (x *dynText) places(calls []dyncall.Site) (p callPlaces) {
	maps, _ := os.ReadFile("/proc/self/maps")
	for _, c := range calls {
		live, file := textAt(c.Addr, callLen), x.code[c.Addr-x.at:][:callLen]
		target := c.Addr + callLen + uint64(int64(int32(binary.LittleEndian.Uint32(live[1:]))))
		switch {
		case string(live) == string(file):
			p.Thunk++
		case live[0] == file[0] && inStubs(string(maps), target):
			p.Stub++
		default:
			p.Else++
		}
	}
	return p
}

// inStubs reports whether a stub begins at the address.
func inStubs(maps string, addr uint64) bool {
	for line := range strings.Lines(maps) {
		var from, to uint64
		var perm string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perm); err == nil && from <= addr && addr < to {
			return perm == "r-xs" && strings.Contains(line, "quietpatch-stubs") && addr%16 == 0 && textAt(addr, 1)[0] != trapByte
		}
	}
	return false
}

// dynVictim has the call that gets a breakpoint.
//
//go:noinline
func dynVictim(f intFunc, x uint64) uint64 { return f(x) + 1 }

// dynForeignReport is what `prog dynforeign` prints.
type dynForeignReport struct {
	Addr     uint64             `json:"addr"`
	Promoted bool               `json:"promoted"` // before the breakpoint was set
	State    string             `json:"state"`    // of the call with it
	Stats    dyncall.Statistics `json:"stats"`
	Intact   bool               `json:"intact"` // the breakpoint stood all the time
	Stop     string             `json:"stop"`
	Stands   string             `json:"stands"` // Disarm with the breakpoint
	Gone     string             `json:"gone"`   // and without it
	Wrong    uint64             `json:"wrong"`
	First    string             `json:"first"`
	Text     string             `json:"text"` // at the end
	Status   quietpatch.State   `json:"status"`
}

// dynForeign sets a debugger's breakpoint on a call, before it is learned, or after.
func dynForeign(args []string) (any, error) {
	fs := flags("dynforeign")
	late := fs.Bool("late", false, "when the call is promoted")
	backend := fs.String("backend", "", "procmem or alias")
	strategy := fs.String("strategy", "", "store or int3")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	text, err := readText()
	if err != nil {
		return nil, err
	}
	r := &dynForeignReport{}
	if err := r.find(); err != nil {
		return nil, err
	}
	if err := configure(*strategy, *backend); err != nil {
		return nil, err
	}
	var t dynTally
	stop := busyCalls(&t)
	was, err := r.provoke(*late)
	if err != nil {
		return nil, err
	}
	found, err := pokeByte(r.Addr, was)
	if err != nil {
		return nil, err
	}
	r.Intact = found == trapByte
	stop()
	for i, f := range plainInts {
		if got := dynVictim(f, 5); got != answerInt(uint64(i)+1, 5)+1 {
			t.fail("the call with the breakpoint: %d for callee %d", got, i)
		}
	}
	r.Gone = message(quietpatch.Disarm())
	r.Text, r.Wrong = text.differs(), t.wrong.Load()
	if p := t.first.Load(); p != nil {
		r.First = *p
	}
	r.Status = quietpatch.Status()
	return r, nil
}

// find finds the call. Nothing is patched, and no page is moved, with the backend none.
func (r *dynForeignReport) find() error {
	if err := configure("", "none"); err != nil {
		return err
	}
	if err := dyncall.Start(impatient("main.dynVictim")); err != nil {
		return err
	}
	s := victim()
	if r.Addr = s.Addr; r.Addr == 0 {
		return errors.New("the call in main.dynVictim was not found")
	}
	return dyncall.Stop()
}

// provoke has everything learned while a breakpoint stands. It returns the byte below.
func (r *dynForeignReport) provoke(late bool) (was byte, err error) {
	if !late {
		if was, err = pokeByte(r.Addr, trapByte); err != nil {
			return 0, err
		}
	}
	if err := dyncall.Start(impatient("main.*")); err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(10 * time.Second); late && !r.Promoted && time.Now().Before(deadline); {
		for x := range uint64(100_000) {
			dynVictim(plainInts[3], x)
		}
		r.Promoted = len(victim().Targets) > 0
	}
	if late {
		if was, err = pokeByte(r.Addr, trapByte); err != nil {
			return 0, err
		}
	}
	r.Stats = untilStats(10*time.Second, func(s dyncall.Statistics) bool {
		return (s.Refused > 0 || s.Error != "") && s.Relearnings > 50 // on alias the page may not move
	})
	r.State = victim().State
	r.Stop = message(dyncall.Stop())
	r.Stands = message(quietpatch.Disarm())
	return was, nil
}

func victim() dyncall.Site {
	for _, s := range dyncall.Sites() {
		if s.Func == "main.dynVictim" {
			return s
		}
	}
	return dyncall.Site{}
}

// pokeByte writes a byte of text as a debugger does, and returns what was there.
func pokeByte(addr uint64, b byte) (was byte, err error) {
	fd, err := unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var buf [1]byte
	if _, err = unix.Pread(fd, buf[:], int64(addr)); err != nil {
		return 0, err
	}
	_, err = unix.Pwrite(fd, []byte{b}, int64(addr))
	return buf[0], err
}
