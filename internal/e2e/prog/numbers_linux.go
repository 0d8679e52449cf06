package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { programs["numbers"] = runNumbers }

// numbersReport is what `prog numbers` prints.
type numbersReport struct {
	Changes  int              `json:"changes"`
	NoWait   int              `json:"no_wait"` // of these, without waiting
	Refused  int              `json:"refused"` // not possible so
	NoSync   int              `json:"no_sync"` // changes of no byte of text
	OneSync  int              `json:"one_sync"`
	More     int              `json:"more_syncs"`
	Armed    map[string]int   `json:"armed"`  // by form: sites and values that have a place
	Memory   map[string]int   `json:"memory"` // by form: sites and values that have none
	Crossing int              `json:"crossing"`
	Verified uint64           `json:"verified"`
	Wrong    uint64           `json:"wrong"`
	First    string           `json:"first"`
	Fault    string           `json:"fault"`
	Seconds  float64          `json:"seconds"`
	Status   quietpatch.State `json:"status"`
}

// numbers walks every number through all of its values, from each one to each other, alone:
// so it knows what every change may cost, and which bytes it may touch. Other threads
// check all the time, and one of them must have verified a change before the next.
type numbers struct {
	h    *nightly
	r    numbersReport
	mem  *os.File
	live bool
	each int // 1: every change from value to value; n: every nth

	addrs  []uint64 // sites of the key at hand
	was    [][]byte // their bytes before the change
	listed map[int64]bool
}

func runNumbers(args []string) (any, error) {
	fs := flags("numbers")
	strategy := fs.String("strategy", "", "store or int3")
	backend := fs.String("backend", "", "procmem, alias or none")
	each := fs.Int("each", 1, "make every so many of the changes")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := errors.Join(configure(*strategy, *backend), registerNightKeys()); err != nil {
		return nil, err
	}
	if err := quietpatch.Arm(); err != nil {
		fmt.Fprintln(os.Stderr, "prog: not armed:", err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	n := numbers{
		h: newNightly(nightlyOptions{backend: *backend}), mem: mem, each: *each,
		r:    numbersReport{Armed: map[string]int{}, Memory: map[string]int{}},
		live: quietpatch.Status().Mode == "live",
	}
	n.h.lockstep.Store(true)
	var wg sync.WaitGroup
	n.h.startCheckers(&wg)
	for _, k := range numberKeys {
		if err := n.walk(k); err != nil {
			return nil, err
		}
	}
	close(n.h.done)
	wg.Wait()
	return n.report(), nil
}

func (n *numbers) report() numbersReport {
	r := n.h.report()
	for _, k := range r.Kinds {
		n.r.Verified += k.Verified
		n.r.Wrong += k.Wrong
	}
	n.r.First, n.r.Fault, n.r.Seconds, n.r.Status = r.First, r.Fault, r.Seconds, r.Status
	return n.r
}

// walk changes a key from every value to every other.
func (n *numbers) walk(k *nightKey) error {
	if err := n.find(k); err != nil {
		return err
	}
	step := 0
	for i := range k.values {
		for j := i + 1; j < len(k.values); j++ {
			if step++; step%n.each != 0 {
				continue
			}
			for _, at := range []int{i, j, i} {
				if err := n.change(k, at, step%5 == 0); err != nil {
					return fmt.Errorf("%s to %d: %w", k.name, k.values[at], err)
				}
			}
		}
	}
	return nil
}

// find lists the sites of a key.
func (n *numbers) find(k *nightKey) error {
	n.addrs, n.was, n.listed = nil, nil, map[int64]bool{}
	ss, err := k.sites()
	if err != nil {
		if n.live {
			return err
		}
		return nil
	}
	for i, s := range ss {
		length := uint64(siteMax)
		if i+1 < len(ss) {
			length = min(length, ss[i+1].Addr-s.Addr)
		}
		n.addrs, n.was = append(n.addrs, s.Addr), append(n.was, make([]byte, length))
	}
	return nil
}

// siteMax is the length of the longest instruction that is replaced.
const siteMax = 11

// change makes one change, if it is one, and looks at what it has cost.
func (n *numbers) change(k *nightKey, at int, noWait bool) error {
	if nowOf(k.word.Load()) == at {
		return nil
	}
	for i, addr := range n.addrs {
		if _, err := n.mem.ReadAt(n.was[i], int64(addr)); err != nil {
			return err
		}
	}
	before := quietpatch.Status()
	var s scratch
	to := func(*nightKey, int) int { return at }
	if noWait {
		n.h.applyHow(&s, []*nightKey{k}, soonBit, func(c []change) error { return n.withoutWaiting(c[0]) }, to)
	}
	if nowOf(k.word.Load()) != at {
		n.h.apply(&s, []*nightKey{k}, func(c []change) error { return k.set(c[0].value()) }, to)
	}
	if p := n.h.fault.Load(); p != nil {
		return errors.New(*p)
	}
	n.r.Changes++
	after := quietpatch.Status()
	if after.Unsynced {
		return errors.New("the change has returned, and Status says that a sync is missing")
	}
	if err := n.judge(after.Strategy, after.Backend, after.Counters.Syncs-before.Counters.Syncs); err != nil {
		return err
	}
	return n.list(k)
}

// withoutWaiting changes a key by stores alone. The sync comes later, and only if
// there is something to make certain.
func (n *numbers) withoutWaiting(c change) error {
	before := quietpatch.Status()
	err := c.k.setNoWait(c.value())
	between := quietpatch.Status()
	if between.Counters.Syncs != before.Counters.Syncs {
		return errors.New("SetNoWait has waited for a sync")
	}
	if err != nil {
		n.r.Refused++
		if n.live && between.Counters.Pokes != before.Counters.Pokes {
			return fmt.Errorf("refused, and yet %d writes", between.Counters.Pokes-before.Counters.Pokes)
		}
		return err
	}
	n.r.NoWait++
	if wrote := between.Counters.Pokes != before.Counters.Pokes; wrote != between.Unsynced {
		return fmt.Errorf("written %v, and Status says that a sync is missing: %v", wrote, between.Unsynced)
	}
	// A Set to the value that was set without waiting promises as much as Sync.
	certain := statickey.Sync
	if n.r.NoWait%2 == 0 {
		certain = func() error { return c.k.set(c.value()) }
	}
	if err := certain(); err != nil {
		return err
	}
	after := quietpatch.Status()
	want := before.Counters.Syncs + uint64(count(between.Unsynced))
	if after.Counters.Syncs != want || after.Unsynced {
		return fmt.Errorf("%d syncs behind Sync or Set, expected %d; is one missing: %v", after.Counters.Syncs, want, after.Unsynced)
	}
	return nil
}

// judge compares the bytes that have changed with the number of syncs. With one sync
// each site must have been one store: on procmem a byte, else within an aligned
// quadword (AMD APM vol. 2, 7.6.1).
func (n *numbers) judge(strategy, backend string, syncs uint64) error {
	changed := false
	for i, addr := range n.addrs {
		now := make([]byte, len(n.was[i]))
		if _, err := n.mem.ReadAt(now, int64(addr)); err != nil {
			return err
		}
		first, last := -1, -1
		for j := range now {
			if now[j] != n.was[i][j] {
				if last = j; first < 0 {
					first = j
				}
			}
		}
		if first < 0 {
			continue
		}
		changed = true
		crosses := (addr+uint64(first))/8 != (addr+uint64(last))/8
		n.r.Crossing += count(crosses)
		if syncs == 1 && (crosses || first == 0 || backend == string(quietpatch.BackendProcmem) && first != last) {
			return fmt.Errorf("one sync, and the site at %#x changed from % x to % x by %s", addr, n.was[i], now, backend)
		}
	}
	if changed != (syncs > 0) || strategy == "int3" && syncs == 1 || syncs > 3 {
		return fmt.Errorf("text has changed: %v, by %s on %s, with %d syncs", changed, strategy, backend, syncs)
	}
	switch syncs {
	case 0:
		n.r.NoSync++
	case 1:
		n.r.OneSync++
	default:
		n.r.More++
	}
	return nil
}

// list counts the sites that have a place for the value, once for each value.
func (n *numbers) list(k *nightKey) error {
	v := k.memory()
	if n.listed[v] || len(n.addrs) == 0 {
		return nil
	}
	n.listed[v] = true
	ss, err := k.sites()
	for _, s := range ss {
		switch {
		case s.State == "armed":
			n.r.Armed[s.Form]++
		case strings.Contains(s.Why, "has no place"):
			n.r.Memory[s.Form]++
		}
	}
	return err
}
