package statickey_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/statickey"
)

var (
	retries = statickey.Of[int32](3)
	wide    statickey.Int64
	mask    statickey.Uint32
	timeout = statickey.Of(250 * time.Millisecond)
	limited = statickey.Of[int32](5)

	_ = statickey.RegisterValue(&retries, "test.retries", "a number")
	_ = statickey.RegisterValue(&timeout, "test.timeout", "a duration")
)

//go:noinline
func readRetries() int32 { return retries.Get() }

//go:noinline
func readWide() int64 { return wide.Get() }

//go:noinline
func readMask() uint32 { return mask.Get() }

//go:noinline
func readTimeout() time.Duration { return timeout.Get() }

var atStart struct {
	retries int32
	timeout time.Duration
}

func init() { atStart.retries, atStart.timeout = readRetries(), readTimeout() }

func TestValue(t *testing.T) {
	if atStart.retries != 3 || atStart.timeout != 250*time.Millisecond {
		t.Errorf("Of: %+v", atStart)
	}
	for _, v := range []int32{0, 1, -1, 7, 300, -70000, 1<<31 - 1, -1 << 31, 3} {
		if err := retries.Set(v); err != nil || readRetries() != v {
			t.Errorf("Set(%d): %v, reads %d", v, err, readRetries())
		}
	}
	for _, v := range []int64{0, 1, -1, 1 << 31, 1<<63 - 1, -1 << 63, 5, 1 << 40, -1 << 31} {
		if err := wide.Set(v); err != nil || readWide() != v {
			t.Errorf("Set(%d): %v, reads %d", v, err, readWide())
		}
	}
	for _, v := range []uint32{1, 1<<32 - 1, 1 << 31, 0} {
		if err := mask.Set(v); err != nil || readMask() != v {
			t.Errorf("Set(%d): %v, reads %d", v, err, readMask())
		}
	}
	for _, v := range []time.Duration{time.Second, 5 * time.Second, time.Hour, 0, 250 * time.Millisecond} {
		if err := timeout.Set(v); err != nil || readTimeout() != v {
			t.Errorf("Set(%v): %v, reads %v", v, err, readTimeout())
		}
	}
}

// TestValueInlines: the reads above are sites, armed, and say so where a value has
// no place in them.
func TestValueInlines(t *testing.T) {
	patched(t)
	if err := errors.Join(wide.Set(7), mask.Set(7)); err != nil {
		t.Fatal(err)
	}
	for what, sites := range map[string]func() ([]statickey.Site, error){
		"readRetries": retries.Sites, "readWide": wide.Sites, "readMask": mask.Sites, "readTimeout": timeout.Sites,
	} {
		ss, err := sites()
		n := 0
		for _, s := range ss {
			if strings.HasSuffix(s.Func, what) {
				n++
				if s.State != "armed" || !strings.HasSuffix(s.File, "value_test.go") {
					t.Errorf("%s: %+v", what, s)
				}
			}
		}
		if err != nil || n != 1 {
			t.Errorf("%s: %d sites of %v, %v", what, n, ss, err)
		}
	}
	if err := wide.Set(1 << 40); err != nil {
		t.Fatal(err)
	}
	ss, _ := wide.Sites()
	for _, s := range ss {
		if strings.HasSuffix(s.Func, "readWide") && (s.State != "memory" || !strings.Contains(s.Why, "1099511627776")) {
			t.Errorf("with a value that does not fit: %+v", s)
		}
	}
}

func TestLimit(t *testing.T) {
	if err := limited.Limit(1, 10); err != nil {
		t.Fatal(err)
	}
	if err := limited.Set(11); !errors.Is(err, statickey.ErrRange) || !strings.Contains(err.Error(), "11") || limited.Get() != 5 {
		t.Errorf("Set(11): %v, is %d", err, limited.Get())
	}
	if err := limited.Set(10); err != nil || limited.Get() != 10 {
		t.Errorf("Set(10): %v, is %d", err, limited.Get())
	}
	odd := errors.New("odd")
	err := limited.Validate(func(v int32) error {
		if v%2 != 0 {
			return odd
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := limited.Set(3); !errors.Is(err, odd) || limited.Get() != 10 {
		t.Errorf("Set(3): %v, is %d", err, limited.Get())
	}
	// The present value is refused: back to what the variable started with, if that
	// is no worse; here it is the only one.
	if err := limited.Validate(func(v int32) error { return fmt.Errorf("not %d", v) }); err == nil {
		t.Error("a value that is refused was kept without a word")
	}
}

func TestValueBatch(t *testing.T) {
	var b statickey.Batch
	b.Set(&first, true)
	statickey.SetValue(&b, &retries, 9)
	statickey.SetValue(&b, &retries, 4)
	statickey.SetValue(&b, &timeout, time.Second)
	if err := b.Apply(); err != nil || !first.Enabled() || readRetries() != 4 || readTimeout() != time.Second {
		t.Errorf("%v: %v, %d, %v", err, first.Enabled(), readRetries(), readTimeout())
	}
	statickey.SetValue(&b, &retries, 3)
	b.Set(&first, false)
	if err := b.Apply(); err != nil || first.Enabled() || readRetries() != 3 {
		t.Errorf("%v: %v, %d", err, first.Enabled(), readRetries())
	}
}

var users statickey.Counted

func TestCounted(t *testing.T) {
	if users.TryInc() || users.Enabled() {
		t.Error("TryInc without a user")
	}
	if err := users.Dec(); !errors.Is(err, statickey.ErrCount) {
		t.Errorf("Dec without a user: %v", err)
	}
	if err := errors.Join(users.Inc(), users.Inc()); err != nil || !users.Enabled() || users.Users() != 2 || !users.TryInc() {
		t.Errorf("%v, on %v, %d users", err, users.Enabled(), users.Users())
	}
	if err := errors.Join(users.Dec(), users.Dec()); err != nil || !users.Enabled() {
		t.Errorf("%v, on %v with one user", err, users.Enabled())
	}
	if err := users.Dec(); err != nil || users.Enabled() || users.Users() != 0 {
		t.Errorf("%v, on %v with %d users", err, users.Enabled(), users.Users())
	}
}

// TestCountedConcurrently: whoever holds a user sees the key on.
func TestCountedConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				if err := users.Inc(); err != nil {
					t.Error(err)
					return
				}
				if !users.Enabled() {
					t.Error("off, and there is a user")
				}
				if err := users.Dec(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if users.Enabled() || users.Users() != 0 {
		t.Errorf("on %v, %d users", users.Enabled(), users.Users())
	}
}

var chatty statickey.Counted

// TestRateLimit: a thousand users who come and go cost two changes.
func TestRateLimit(t *testing.T) {
	chatty.Limit(time.Hour)
	before := batches()
	for range 1000 {
		if err := errors.Join(chatty.Inc(), chatty.Dec()); err != nil {
			t.Fatal(err)
		}
	}
	if !chatty.Enabled() || chatty.Users() != 0 {
		t.Errorf("on %v, %d users", chatty.Enabled(), chatty.Users())
	}
	if n := batches() - before; n != 1 {
		t.Errorf("%d changes, expected 1", n)
	}
	if err := chatty.Flush(); err != nil || chatty.Enabled() {
		t.Errorf("Flush: %v, on %v", err, chatty.Enabled())
	}
	chatty.Limit(time.Millisecond)
	if err := errors.Join(chatty.Inc(), chatty.Dec()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); chatty.Enabled(); {
		if time.Now().After(deadline) {
			t.Fatal("still on a minute after the last user went")
		}
		time.Sleep(time.Millisecond) // waiting for a timer, not hiding a race
	}
}
