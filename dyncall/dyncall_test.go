package dyncall

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	quietpatch "github.com/quietpatch/quietpatch"
)

// retpolines reports whether this test was built with them.
func retpolines(t *testing.T) bool {
	t.Helper()
	err := Start(Options{Functions: []string{"no such function"}})
	if err == nil {
		if err := Stop(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if !errors.Is(err, ErrNoRetpolines) && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" && quietpatch.Backends() != nil {
		t.Fatal(err)
	}
	return false
}

// TestRetpolineBuild runs this package's tests in a build that has what they need.
func TestRetpolineBuild(t *testing.T) {
	if retpolines(t) {
		t.Skip("this is it")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs linux/amd64, where text is patched")
	}
	for _, mode := range []string{"-buildmode=exe", "-buildmode=pie"} {
		cmd := exec.Command("go", "test", "-v", "-count=1", mode, "-gcflags=all=-spectre=ret", "-run", "Live", ".")
		cmd.Env = append(os.Environ(), "QUIETPATCH_TEST_LIVE=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestLiveLearns") {
			t.Errorf("%s: %v\n%s", mode, err, out)
		}
	}
}

// live skips a test in a build without retpolines; TestRetpolineBuild runs it in another.
func live(t *testing.T) {
	t.Helper()
	if !retpolines(t) {
		if os.Getenv("QUIETPATCH_TEST_LIVE") != "" {
			t.Fatal("no retpolines in a build that asked for them")
		}
		t.Skip("needs -gcflags=all=-spectre=ret: see TestRetpolineBuild")
	}
}

func TestNoRetpolines(t *testing.T) {
	if retpolines(t) {
		t.Skip("has them")
	}
	err := Start(Options{})
	if err == nil {
		t.Fatal("started without retpolines")
	}
	if errors.Is(err, ErrNoRetpolines) && !strings.Contains(err.Error(), "-spectre=ret") {
		t.Errorf("%v: does not say how to build", err)
	}
	if err := Stop(); err != nil {
		t.Error(err)
	}
	if err := Settle(context.Background()); err != nil {
		t.Error(err)
	}
	if s := Stats(); s.Running || Sites() != nil {
		t.Errorf("%+v", s)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Targets: 7},
		{Targets: -1},
		{Misses: -1},
		{CatchAll: -1},
		{Functions: []string{"["}},
		{Except: []string{""}},
		{Window: -1},
		{CountedMax: -1},
		{Wake: time.Hour},
	} {
		if err := Start(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
			_ = Stop()
		}
	}
	o := Options{Functions: []string{"net/*", "main.f"}, Except: []string{"net/http.(?Server)*"}}
	for fn, want := range map[string]bool{
		"net/http.Get": true, "net/http.(*Server).Serve": false, "main.f": true, "main.g": false,
		ourModule + "internal/engine.x": false, ourModule + "dyncall.(*learner).poll": false,
	} {
		if o.picks(fn) != want {
			t.Errorf("picks(%q) = %v", fn, !want)
		}
	}
}

type shape interface{ area(int) int }

type (
	square struct{}
	circle struct{}
	line   struct{}
	blob   struct{ n int }
)

//go:noinline
func (*square) area(x int) int { return x + 1 }

//go:noinline
func (*circle) area(x int) int { return x + 2 }

//go:noinline
func (*line) area(x int) int { return x + 3 }

//go:noinline
func (b *blob) area(x int) int { return x + b.n }

//go:noinline
func total(shapes []shape) (n int) {
	for _, s := range shapes {
		n = s.area(n)
	}
	return n
}

func repeated(n int, kinds ...shape) []shape {
	out := make([]shape, n)
	for i := range out {
		out[i] = kinds[i*7%len(kinds)]
	}
	return out
}

// busy calls total over what shapes holds until stop, on goroutines, and checks sums.
func busy(t *testing.T, shapes *atomic.Pointer[[]shape], want *atomic.Int64) (stop func()) {
	var quit atomic.Bool
	done := make(chan bool)
	const n = 3
	for range n {
		go func() {
			defer func() { done <- true }()
			for !quit.Load() {
				s := shapes.Load()
				if got := total(*s); s == shapes.Load() && int64(got) != want.Load() && s == shapes.Load() {
					t.Errorf("total = %d, expected %d", got, want.Load())
					return
				}
			}
		}()
	}
	return func() {
		quit.Store(true)
		for range n {
			<-done
		}
	}
}

func theSite(t *testing.T) Site {
	t.Helper()
	for _, s := range Sites() {
		if strings.HasSuffix(s.Func, ".total") {
			return s
		}
	}
	t.Fatal("the call in total was not found")
	return Site{}
}

func names(s Site) string {
	var out []string
	for _, x := range s.Targets {
		out = append(out, x.Func[strings.LastIndexByte(x.Func, '(')+1:])
	}
	return strings.Join(out, " ")
}

func TestLiveLearns(t *testing.T) {
	live(t)
	var shapes atomic.Pointer[[]shape]
	var want atomic.Int64
	set := func(kinds ...shape) {
		s := repeated(1000, kinds...)
		n := 0
		for _, x := range s {
			n = x.area(n)
		}
		shapes.Store(&s)
		want.Store(int64(n))
	}
	set(&square{})
	defer busy(t, &shapes, &want)()
	changed := make(chan Event, 1000)
	o := Options{
		Functions: []string{"*.total"}, Wake: 20 * time.Millisecond, WakeMax: 40 * time.Millisecond, Window: 20 * time.Millisecond,
		Notify: func(e Event) { changed <- e },
	}
	if err := Start(o); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Stop(); err != nil {
			t.Error(err)
		}
		if s := Stats(); s.Running {
			t.Errorf("%+v", s)
		}
	}()
	if err := Start(o); !errors.Is(err, ErrRunning) {
		t.Error(err)
	}
	for _, step := range []struct {
		kinds []shape
		names []string // the site's first targets, in any of these orders; old ones may follow
	}{
		{[]shape{&square{}}, []string{"*square).area"}},
		{[]shape{&circle{}, &line{}}, []string{"*circle).area *line).area", "*line).area *circle).area"}},
		{[]shape{&square{}, &circle{}, &line{}, &blob{1}, &blob{2}}, nil},
		{[]shape{&line{}}, []string{"*line).area"}},
	} {
		set(step.kinds...)
		if step.names == nil {
			continue // any choice will do
		}
		deadline := time.After(time.Minute)
		for got := ""; ; {
			got = names(theSite(t))
			if strings.HasPrefix(got, step.names[0]) || strings.HasPrefix(got, step.names[len(step.names)-1]) {
				break
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("targets are %q after a minute, expected %q; %+v %+v", got, step.names, Stats(), theSite(t))
			case <-time.After(time.Second): // an event may have come before Sites
			}
		}
	}
	s := Stats()
	if s.Relearnings < 3 || s.Hits == 0 || s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestLiveDisarm: Disarm gives every call its retpoline back; after Arm they are learned
// anew.
func TestLiveDisarm(t *testing.T) {
	live(t)
	var shapes atomic.Pointer[[]shape]
	var want atomic.Int64
	s := repeated(1000, &square{})
	want.Store(1000)
	shapes.Store(&s)
	defer busy(t, &shapes, &want)()
	if err := Start(Options{Functions: []string{"*.total"}, Window: 5 * time.Millisecond, Wake: 5 * time.Millisecond, WakeMax: 5 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 5 {
		if err := Settle(ctx); err != nil {
			t.Fatal(err, Stats())
		}
		if got := names(theSite(t)); got != "*square).area" {
			t.Errorf("targets %q", got)
		}
		if err := quietpatch.Disarm(); err != nil {
			t.Fatal(err)
		}
		_ = quietpatch.Arm()
		settleAgain(t)
	}
	if err := Stop(); err != nil {
		t.Fatal(err)
	}
	if got := total(s); got != 1000 {
		t.Error(got)
	}
}

// settleAgain waits until the learner has noticed that everything was taken back.
func settleAgain(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s := Stats(); s.New > 0 || s.Counting > 0 {
			return
		}
	}
	t.Fatalf("%+v", Stats())
}
