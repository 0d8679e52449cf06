package statickey

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// Counted is a key that is on while anybody wants it: the sum of Inc and Dec
// decides. It is what the kernel's static_branch_inc and _dec are. Two users who
// know nothing of each other can each turn it on and off.
//
// The zero value is off, with no users. It must be a package-level variable, like
// a [Bool], and must not be copied after first use. All methods are safe for
// concurrent use.
//
// # Rate limit
//
// A flip interrupts CPUs. If somebody can make a program count up and down as
// often as he likes, he decides how often its CPUs are interrupted: a client that
// connects and leaves, a socket option set by anybody. The kernel learned it when
// NTP daemons that opened and closed sockets with time stamps flipped its
// netstamp key all day, on isolated CPUs, too. With [Counted.Limit] the last Dec
// does not turn the key off at once; it stays on for the interval, and an Inc
// meanwhile costs nothing. So the key changes at most twice per interval, whatever
// its users do.
type Counted struct {
	on flag // first: sites read the key's own address
	h  atomic.Pointer[engine.Key]

	mu       sync.Mutex
	users    atomic.Int64 // changed under mu, except by TryInc and Dec of one of many
	interval time.Duration
	timer    *time.Timer // runs while the key is on for nobody
	lastErr  error       // of a turn-off that no caller waited for
}

// Errors of [Counted].
var (
	// ErrCount: more Dec than Inc, or too many Inc. Nothing has changed.
	ErrCount = errors.New("count of users")
)

const usersMax = 1<<31 - 1

// Inc adds a user. The first turns the key on, with the promises of [Bool.Set]; when
// that fails the user is not counted.
func (k *Counted) Inc() error {
	if k.TryInc() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.users.Load()
	if n >= usersMax {
		return fmt.Errorf("%w: %d users are the limit; is a Dec missing?", ErrCount, n)
	}
	// Also when it is on: for nobody, or because turning it off has failed. Then
	// this costs no more than the promise needs.
	if err := k.set(1); err != nil {
		return err
	}
	k.stopTimer()
	k.users.Add(1) // after the text is patched: TryInc relies on it
	return nil
}

// TryInc adds a user if there is one already, so that nothing has to be patched.
// It takes no lock and waits for nobody.
func (k *Counted) TryInc() bool {
	for n := k.users.Load(); n > 0 && n < usersMax; n = k.users.Load() {
		if k.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// Dec takes a user away. The last one turns the key off, at once or as [Counted.Limit]
// says. More Dec than Inc is an error that wraps [ErrCount] and changes nothing.
// When turning off fails the user is gone all the same and the key stays on, until the
// next user or Flush.
func (k *Counted) Dec() error {
	for n := k.users.Load(); n > 1; n = k.users.Load() {
		if k.users.CompareAndSwap(n, n-1) {
			return nil
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		n := k.users.Load()
		if n <= 0 {
			return fmt.Errorf("%w: Dec without a user", ErrCount)
		}
		if k.users.CompareAndSwap(n, n-1) {
			if n > 1 {
				return nil
			}
			break
		}
	}
	if k.interval > 0 {
		k.startTimer()
		return nil
	}
	return k.turnOff()
}

// turnOff does so if there is no user. The caller holds mu, so that none can come
// but by Inc, which waits.
func (k *Counted) turnOff() error {
	if k.users.Load() > 0 {
		return nil
	}
	return k.set(0)
}

// set turns the key on or off.
func (k *Counted) set(v int64) error {
	return set(k.key, v, engine.Default.Apply, func(v int64) { k.on.store(v != 0) })
}

// key returns the engine's record of k, made on first use; an error for a copy.
func (k *Counted) key() (*engine.Key, error) {
	return record(unsafe.Pointer(k), 1, (*countedCell)(k), &k.h)
}

// countedCell is a Counted as the engine sees it.
type countedCell Counted

func (c *countedCell) Load() int64         { return number(c.on.load()) }
func (c *countedCell) Store(v int64)       { c.on.store(v != 0) }
func (c *countedCell) Text(v int64) string { return onOff(v) }

// Parse refuses: who turns a counted key by hand forgets about its users.
func (c *countedCell) Parse(string) (int64, error) {
	return 0, fmt.Errorf("%w: the key follows its users; use Inc and Dec", ErrCount)
}

func (k *Counted) startTimer() {
	k.stopTimer()
	var t *time.Timer
	t = time.AfterFunc(k.interval, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.timer == t { // not stopped, or replaced, while it waited for mu
			k.timer = nil
			k.lastErr = k.turnOff()
		}
	})
	k.timer = t
}

func (k *Counted) stopTimer() {
	if k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
}

// Limit sets the rate limit: after the last user has gone the key stays on for
// the interval. 0, the default, turns it off at once.
func (k *Counted) Limit(interval time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interval = max(interval, 0)
}

// Flush ends the wait of a rate limit: if the key is on for nobody, it is turned off
// now. It also returns the error of a turn-off that happened in the meantime.
func (k *Counted) Flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopTimer()
	err := k.lastErr
	k.lastErr = nil
	return errors.Join(err, k.turnOff())
}

// Users returns how many users there are.
func (k *Counted) Users() int { return int(k.users.Load()) }

// Sites returns the checks of this key. See [Bool.Sites].
func (k *Counted) Sites() ([]Site, error) {
	return sitesOf(k)
}
