package isolated

import (
	"compress/flate"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
)

const (
	serversMax  = 4
	processRead = 512 << 10
)

// servers returns how many goroutines answer requests, and allocate, on so many CPUs: one
// is the isolated thread's, and one is left for flips.
func servers(cpus int) int { return min(max(cpus-2, 1), serversMax) }

// A load is what runs beside the flips: goroutines that answer requests, which pass through
// the checks of the key, make the call and allocate; garbage collections; and short
// processes one after the other, as make starts them.
type load struct {
	cancel    context.CancelFunc
	done      sync.WaitGroup
	garbage   chan struct{}
	processes atomic.Int64
	problem   atomic.Pointer[string] // the first process that failed
}

// startLoad starts everything but the collections, for which [load.collect] asks.
func startLoad(ctx context.Context, store *kv.Store, servers int, process []string) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, garbage: make(chan struct{}, 1)}
	for i := range servers {
		l.done.Go(func() { serve(ctx, store, i) })
	}
	l.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.garbage:
				runtime.GC()
			}
		}
	})
	l.done.Go(func() { l.runProcesses(ctx, process) })
	return l
}

// collect asks for a garbage collection, beside whatever the caller does next.
func (l *load) collect() {
	select {
	case l.garbage <- struct{}{}:
	default: // the one before is not over
	}
}

// end returns when all has ended.
func (l *load) end() {
	l.cancel()
	l.done.Wait()
}

// A sink is a response that nobody reads. Its body is summed up, as a cache would do.
type sink struct {
	header http.Header
	sum    uint32
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}
func (s *sink) Write(b []byte) (int, error) {
	s.sum ^= Sum(b)
	return len(b), nil
}

// serve answers requests, each into memory of its own.
func serve(ctx context.Context, store *kv.Store, id int) {
	requests := store.Requests(97)
	for i := id * 37; ctx.Err() == nil; i++ {
		r := requests[i%len(requests)]
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: r.Path, RawQuery: r.Query}, Header: http.Header{}}
		req.Header.Set(kv.HeaderToken, r.Token)
		store.ServeHTTP(&sink{header: http.Header{}}, req)
	}
}

// runProcesses starts one process after the other until the context is done.
func (l *load) runProcesses(ctx context.Context, args []string) {
	exe, err := os.Executable()
	for err == nil && ctx.Err() == nil {
		if err = exec.CommandContext(ctx, exe, args...).Run(); err == nil {
			l.processes.Add(1)
		}
	}
	if err != nil && ctx.Err() == nil {
		text := fmt.Sprintf("the processes beside the flips ended early: %v", err)
		l.problem.Store(&text)
	}
}

// ProcessMain is what such a process does: it reads, compresses and sums up a part of its own
// executable, and is over in some milliseconds.
func ProcessMain() error {
	name, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	digest := sha256.New()
	zip, err := flate.NewWriter(digest, flate.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(zip, f, processRead); err != nil && err != io.EOF {
		return err
	}
	return zip.Close()
}
