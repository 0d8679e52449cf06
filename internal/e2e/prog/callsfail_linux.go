package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/staticcall"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { programs["callsfail"] = callsFail }

// callsFailReport is what `prog callsfail` prints.
type callsFailReport struct {
	callsReport
	Failed  int    `json:"failed"`  // updates that changed nothing
	Message string `json:"message"` // the last one's error
	Before  int    `json:"before"`  // sites that are written before the one that cannot be
}

// callsFail makes updates of which most fail in the middle: the page that holds the last
// site cannot be written. Threads have entered the new functions when everything is put
// back.
func callsFail(args []string) (any, error) {
	fs := flags("callsfail")
	updates := fs.Int("updates", 300, "how often to try")
	limit := fs.Duration("limit", time.Minute, "stop after this time")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure("int3", "procmem"); err != nil {
		return nil, err
	}
	if _, err := callsSites(nil); err != nil {
		return nil, err
	}
	var r callsFailReport
	var t callTally
	u := updater{t: &t, rnd: rand.New(rand.NewPCG(1, 1)), kinds: map[string]int{}}
	t.work.set(0, 17, 17)
	t.note.set(0, 18, 18)
	page, before := lastPage()
	if r.Before = before; before == 0 {
		return nil, errors.New("all sites are on one page: none is written before the one that cannot be")
	}
	if err := denyWrites(page); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { collect(done, true) })
	t.start(8, done, &wg)
	start := time.Now()
	for r.Updates = 0; r.Updates < *updates && time.Since(start) < *limit; r.Updates++ {
		if err := u.update(); err != nil {
			r.Failed++
			r.Message = err.Error()
			var site *statickey.SiteError
			if !errors.As(err, &site) || !site.Undone {
				t.fail("update %d: %v", r.Updates, err)
			}
		}
		t.round(newCaller(uint64(r.Updates)))
	}
	r.Kinds, r.Seconds = u.kinds, time.Since(start).Seconds()
	close(done)
	wg.Wait()
	failWithNil(&t)
	t.report(&r.callsReport)
	return r, nil
}

// bare has no function for nil: its sites, and the variable, go by way of the forwarder
// then.
var bare = staticcall.New(bareOne)

//go:noinline
func Bare(x int) int { return bare.Func()(x) }

func bareOne(x int) int { return x + 1 }
func bareTwo(x int) int { return x + 2 }

//go:noinline
func callBare(x int) int { return Bare(x) }

// failWithNil fails to make bare nil. The variable has its function back afterwards, as
// text has.
func failWithNil(t *callTally) {
	if err := bare.Update(bareTwo); err != nil {
		t.fail("bare: %v", err)
	}
	var b statickey.Batch
	bare.UpdateIn(&b, nil)
	note.UpdateIn(&b, newBox(99).note)
	if err := b.Apply(); err == nil {
		t.fail("a batch with a site that cannot be written did not fail")
		return
	}
	byValue := Bare
	if bare.Current() == nil || callBare(1) != 3 || byValue(1) != 3 {
		t.fail("bare has lost its function to a batch that failed")
	}
}

// lastPage returns the page that holds the last site, and how many sites lie before it.
func lastPage() (page uintptr, before int) {
	var addrs []uintptr
	for _, sites := range callSites() {
		for _, s := range sites {
			addrs = append(addrs, uintptr(s.Addr))
		}
	}
	slices.Sort(addrs)
	size := uintptr(os.Getpagesize())
	page = addrs[len(addrs)-1] &^ (size - 1)
	for _, a := range addrs {
		if a+4 < page {
			before++
		}
	}
	return page, before
}

// denyWrites puts the same code in the page's place, shared and read-only: nobody can write it by
// way of /proc/self/mem (mm/gup.c: only a private mapping is copied on a forced write).
func denyWrites(page uintptr) error {
	size := os.Getpagesize()
	code := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), page)), size)
	fd, err := unix.MemfdCreate("prog", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, code); err != nil {
		return err
	}
	at, err := unix.MmapPtr(fd, 0, unsafe.Pointer(unsafe.SliceData(code)), uintptr(size),
		unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil || uintptr(at) != page {
		return fmt.Errorf("mmap over %#x: %w", page, err)
	}
	return unix.Close(fd)
}
