package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/progress"
)

// A fake is a library and an application whose key is a plain atomic, and
// which can be told to misbehave.
type fake struct {
	on         atomic.Bool
	set        func(f *fake, on bool) error
	configure  error
	backends   []string
	mode       string
	sites      int
	stagesOn   int // what a response reports while the key is on
	configured []string
	strategy   string
	backend    string
	syncs      atomic.Uint64
	slow       bool
	served     atomic.Uint64
}

func newFake() *fake {
	return &fake{
		backends: []string{"procmem", "alias"}, mode: modeLive, sites: testStages, stagesOn: testStages,
		set: func(f *fake, on bool) error { f.on.Store(on); return nil },
	}
}

func (f *fake) Backends() []string { return f.backends }

func (f *fake) Configure(strategy, backend string) error {
	f.configured = append(f.configured, strategy+" "+backend)
	f.strategy, f.backend = strategy, backend
	return f.configure
}

func (f *fake) Set(on bool) error {
	f.syncs.Add(1)
	return f.set(f, on)
}

func (f *fake) Sites() (int, []string) { return f.sites, nil }

func (f *fake) State() state {
	return state{
		mode: f.mode, reason: "the fake says so", strategy: f.strategy, backend: f.backend,
		counters: counters{syncs: f.syncs.Load()},
	}
}

// Sync waits for some requests if the fake is slow, so that the time between
// two blocks of flips is enough for them on any machine.
func (f *fake) Sync() error {
	for end := time.Now().Add(time.Second); f.slow && time.Now().Before(end); {
		if f.served.Swap(0) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (f *fake) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	f.served.Add(1)
	stages := 0
	if f.on.Load() {
		stages = f.stagesOn
	}
	body := []byte("body")
	w.Header().Set("ETag", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 16))
	w.Header().Set(kv.HeaderStages, strconv.Itoa(stages))
	w.Header().Set(kv.HeaderDistinct, strconv.Itoa(stages))
	_, _ = w.Write(body)
}

func (f *fake) run(t *testing.T, ctx context.Context, o Options) *Result {
	t.Helper()
	if o.RowDuration == 0 {
		o.RowDuration = minDuration
	}
	o.BusyCPU = -1
	app := application{handler: f, requests: []kv.Request{{Path: "/x"}}, stages: testStages}
	r, err := run(ctx, o, progress.Writer{}, f, app)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunGood(t *testing.T) {
	f := newFake()
	f.slow = true
	r := f.run(t, t.Context(), Options{})
	if err := r.Failure(); err != nil {
		t.Error(err)
	}
	if len(r.Rows) != 6 || r.Mode != modeLive || r.Interrupted {
		t.Errorf("%d rows, mode %s, interrupted %v; want 6, live, false", len(r.Rows), r.Mode, r.Interrupted)
	}
	want := "store procmem,int3 procmem,one-at-a-time procmem,store alias,int3 alias,one-at-a-time alias"
	if got := strings.Join(f.configured, ","); got != want {
		t.Errorf("configured %s; want %s", got, want)
	}
	for _, row := range r.Rows {
		if row.Flips < blocksPerRow || row.Requests == 0 || row.CheckedRequests == 0 || row.SyncsPerFlip != 1 || row.Sites != testStages {
			t.Errorf("row %+v: want flips, requests, checked ones, 1 sync per flip, %d sites", row, testStages)
		}
		if row.SyncNs < 0 || row.RatioToSync <= 0 || row.FlipNsP99 < row.FlipNsMedian {
			t.Errorf("row %+v: want a bare sync, a ratio, and p99 above the median", row)
		}
	}
	if r.Syncs != 6*blocksPerRow*syncsPerBlock {
		t.Errorf("%d bare syncs, want %d", r.Syncs, 6*blocksPerRow*syncsPerBlock)
	}
	if f.on.Load() {
		t.Error("the key is on after the run")
	}
}

// The clients must see each way in which a flip can be wrong.
func TestClientsCatch(t *testing.T) {
	one := Options{Strategies: []string{"store"}, Backends: []string{"procmem"}}
	for name, spoil := range map[string]func(f *fake){
		"a flip that does nothing": func(f *fake) {
			f.set = func(*fake, bool) error { return nil }
		},
		"a flip that comes late": func(f *fake) {
			f.set = func(f *fake, on bool) error {
				time.AfterFunc(200*time.Millisecond, func() { f.on.Store(on) })
				return nil
			}
		},
		"a site that stays behind": func(f *fake) { f.stagesOn = testStages - 1 },
		"an error that leaves the new value": func(f *fake) {
			f.set = func(f *fake, on bool) error { f.on.Store(on); return errors.New("refused") }
		},
	} {
		f := newFake()
		f.slow = true
		spoil(f)
		r := f.run(t, t.Context(), one)
		if r.FailedRequests == 0 || r.FirstFailure == "" || r.Failure() == nil {
			t.Errorf("%s: %d failed requests, first %q, want some", name, r.FailedRequests, r.FirstFailure)
		}
		if sum := r.Rows[0].FailedRequests; sum == 0 {
			t.Errorf("%s: the row has no failed request", name)
		}
	}
}

func TestClientsCatchBadResponses(t *testing.T) {
	good := newFake()
	for name, handler := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			good.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write(rec.Body.Bytes())
		},
		"sum": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(kv.HeaderStages, "0")
			w.Header().Set(kv.HeaderDistinct, "0")
			fmt.Fprint(w, "body")
		},
		"no stages": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", "0") },
		"hang-up":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		var g gate
		l, err := startLoad(application{handler: handler, requests: []kv.Request{{Path: "/x"}}, stages: testStages}, &g, 1)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); l.totals().failed == 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if err := l.shutdown(); err != nil {
			t.Error(err)
		}
		if l.totals().failed == 0 {
			t.Errorf("%s: no request failed", name)
		}
	}
}

func TestRunSetFails(t *testing.T) {
	f := newFake()
	f.set = func(*fake, bool) error { return errors.New("address 0x1: expected 80, found cc") }
	r := f.run(t, t.Context(), Options{Strategies: []string{"int3"}, Backends: []string{"alias"}})
	if len(r.Rows) != 1 || r.Rows[0].Errors == 0 || !strings.Contains(r.Rows[0].FirstError, "0x1") || r.Rows[0].Flips != 0 {
		t.Fatalf("rows %+v: want one with errors that say 0x1, and no flips", r.Rows)
	}
	if r.FailedRequests != 0 {
		t.Errorf("%d failed requests: the old value held", r.FailedRequests)
	}
	if err := r.Failure(); err == nil || !strings.Contains(err.Error(), "int3 on alias") {
		t.Errorf("failure %v: want one that names the row", err)
	}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "n/a") {
		t.Errorf("table, error %v: want n/a for the times in\n%s", err, b.String())
	}
}

func TestRunConfigureFails(t *testing.T) {
	f := newFake()
	f.configure = errors.New("cannot leave alias")
	r := f.run(t, t.Context(), Options{Strategies: []string{"store"}})
	if len(r.Rows) != 2 || r.Rows[0].Errors != 1 || r.Rows[0].FirstError != "cannot leave alias" || r.Failure() == nil {
		t.Errorf("rows %+v: want two with one error each", r.Rows)
	}
}

// Backends that cannot be used after all give one row, not one for each.
func TestRunMemory(t *testing.T) {
	f := newFake()
	f.mode = "memory"
	r := f.run(t, t.Context(), Options{})
	if len(r.Rows) != 1 || r.Rows[0].Strategy != "memory" || r.Rows[0].Backend != "none" || r.Rows[0].Flips == 0 {
		t.Errorf("rows %+v: want one, memory on none, with flips", r.Rows)
	}
	if r.Mode != "memory" || r.Reason != "the fake says so" || r.Failure() != nil {
		t.Errorf("mode %s, reason %q, failure %v; want memory, the fake's reason, none", r.Mode, r.Reason, r.Failure())
	}
}

// What fails in some rows only is a note, and the mode stays live.
func TestRunMemoryFromARowOn(t *testing.T) {
	f := newFake()
	f.set = func(f *fake, on bool) error {
		f.on.Store(on)
		if f.backend == "alias" {
			f.mode = "memory"
		}
		return nil
	}
	r := f.run(t, t.Context(), Options{Strategies: []string{"store"}})
	if r.Mode != modeLive || r.Reason != "" || len(r.Rows) != 2 || r.Rows[1].Strategy != "memory" {
		t.Errorf("mode %s, reason %q, rows %+v: want live, none, and a second row from memory", r.Mode, r.Reason, r.Rows)
	}
	if notes := strings.Join(r.Notes, ";"); !strings.Contains(notes, "store on alias") || !strings.Contains(notes, "the fake says so") {
		t.Errorf("notes %q: want the row and the reason", notes)
	}
}

// A program without any site, built without inlining say, reads from memory
// whatever the library's mode.
func TestRunWithoutSites(t *testing.T) {
	f := newFake()
	f.sites = 0
	r := f.run(t, t.Context(), Options{})
	if len(r.Rows) != 1 || r.Rows[0].Strategy != "memory" || r.Mode != "memory" || !strings.Contains(r.Reason, "inlining") {
		t.Errorf("mode %s, reason %q, rows %+v: want memory, why, and one row", r.Mode, r.Reason, r.Rows)
	}
}

func TestRunSomeSites(t *testing.T) {
	f := newFake()
	f.sites = testStages - 1
	r := f.run(t, t.Context(), Options{Strategies: []string{"store"}, Backends: []string{"alias"}})
	if len(r.Rows) != 1 || r.Rows[0].Sites != testStages-1 || !strings.Contains(strings.Join(r.Notes, ";"), "55 of 56 checks") {
		t.Errorf("notes %q, rows %+v: want a note that one site is missing", r.Notes, r.Rows)
	}
}

func TestRunWithoutBackends(t *testing.T) {
	f := newFake()
	f.mode, f.backends = "memory", nil
	r := f.run(t, t.Context(), Options{Backends: []string{"alias"}})
	if len(r.Rows) != 1 || r.Rows[0].Strategy != "memory" || r.Failure() != nil {
		t.Errorf("rows %+v, failure %v: want one row, memory", r.Rows, r.Failure())
	}
	if r.Reason != "the fake says so" {
		t.Errorf("reason %q: want the fake's", r.Reason)
	}
	if len(f.configured) != 0 {
		t.Errorf("configured %v where there is nothing to choose", f.configured)
	}
}

func TestRunInterrupted(t *testing.T) {
	f := newFake()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.set = func(f *fake, on bool) error {
		f.on.Store(on)
		if len(f.configured) == 2 {
			cancel()
		}
		return nil
	}
	start := time.Now()
	r := f.run(t, ctx, Options{RowDuration: 300 * time.Millisecond})
	if !r.Interrupted || r.Failure() != nil || len(r.Rows) > 2 {
		t.Errorf("interrupted %v, failure %v, %d rows; want true, none, at most 2", r.Interrupted, r.Failure(), len(r.Rows))
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the run went on for %v", took)
	}
	if f.on.Load() {
		t.Error("the key is on after the run")
	}
}

func TestJSONHasNoNull(t *testing.T) {
	f := newFake()
	f.backends, f.mode = nil, "memory"
	var b strings.Builder
	if err := f.run(t, t.Context(), Options{}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if !json.Valid([]byte(b.String())) || strings.Contains(b.String(), "null") {
		t.Errorf("want JSON without null: %s", b.String())
	}
}
