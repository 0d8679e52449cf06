package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Engine is one patch engine. A process has one, [Default]; tests make more,
// over machines that fail on purpose.
type Engine struct {
	mu sync.Mutex

	keys   []*Key
	byName map[string]*Key
	byAddr map[unsafe.Pointer]*Key // every key in keys

	opts     Options // as given to Configure
	inForce  Options // with environment and defaults
	strategy protocol.Strategy

	img     image
	imgErr  error
	m       machine
	mErr    error  // why there is no machine, for good
	later   error  // why the last arm was put off; it may have passed
	off     string // why arming is switched off: Disarm
	vendor  string
	openImg func() (image, error)
	openM   func(image, Options, func(uintptr, byte) bool) (machine, error)

	hasCalls   bool             // some key is a static call
	leaving    int              // stubs that wait for a grace period
	unswept    bool             // a sweep was put off
	hurried    int              // how many were left when the world was last stopped for them, or all threads looked at
	unseen     error            // what the last look at all threads said
	reaping    bool             // a timer runs for them
	indirects  []*Indirect      // sorted by address
	left       []leftStub       // of theirs
	restores   uint64           // of all of them
	plainFuncs map[uintptr]bool // as far as asked
	stubs      stubMemory       // nil until the first stub
	unsynced   bool             // new stubs, and no sync since

	noinstrAt map[unsafe.Pointer]bool // keys that isolated threads may check, besides sealed ones
	ownerAt   map[unsafe.Pointer]string
	everyone  bool // the next sync is for sites of such keys, among others: it spares nobody

	driving  bool     // a batch is under way
	pokes    []poke   // of the batch at hand; reused
	flips    int      // or its size, if its sites are enough to describe it
	changes  []Change // of the batch at hand
	toggles  toggles  // what flips do, by number
	soon     bool     // stores without a sync behind them
	owed     error    // the sync behind an undo failed so, and none has been made since
	reasons  []string // why sites read memory, by number
	reasonOf map[string]uint32
	entries  entries // of the vector; reused
	stuck    *stuckBatch

	searched   Search
	rules      []rule        // from the environment; nil until they are read
	validators atomic.Uint64 // how often a validation was installed
	watchers   watchers
	ran        string // the strategy of the last batch
	count      Counters
	problems   []string
	dropped    int // problems beyond problemsMax
}

// Default is the engine of the process.
var Default = newEngine()

func newEngine() *Engine {
	return &Engine{byName: map[string]*Key{}, byAddr: map[unsafe.Pointer]*Key{}, openImg: openImage, openM: openMachine, vendor: vendor()}
}

// problemsMax bounds what Status remembers of misuse.
const problemsMax = 32

func (e *Engine) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(e.problems, text) {
		return
	}
	if len(e.problems) == problemsMax {
		e.dropped++
		return
	}
	e.problems = append(e.problems, text)
}

// Register gives a key a name and a description. Patching starts later, when
// the key is first set. An error leaves the key usable and unnamed; Status
// remembers it, so that a package-level registration may ignore it.
func (e *Engine) Register(k *Key, name, desc string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	k = e.known(k)
	if err := e.registerLocked(k, name, desc); err != nil {
		e.problem("%v", err)
		return err
	}
	e.activate(k)
	return nil
}

func (e *Engine) registerLocked(k *Key, name, desc string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if other := e.byName[name]; other != nil {
		return fmt.Errorf("%w %q: taken by the key at %#x (%s); found a second key at %#x: choose another name",
			ErrName, name, uintptr(other.addr), other.desc, uintptr(k.addr))
	}
	if k.name != "" {
		return fmt.Errorf("%w: %s is registered already, and now as %q: register a key once", ErrName, k.label(), name)
	}
	k.name, k.desc, k.owner = name, desc, e.ownerAt[k.addr]
	e.byName[name] = k
	e.list(k)
	return nil
}

func (e *Engine) list(k *Key) {
	if e.byAddr[k.addr] == nil {
		e.byAddr[k.addr] = k
		k.listed = true
		e.keys = append(e.keys, k)
	}
}

// Configure changes the options. Armed sites are disarmed first; they are armed
// again when their keys are next set. On error nothing has changed, but for
// sites that may have been disarmed.
func (e *Engine) Configure(o Options) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := o.check(); err != nil {
		return err
	}
	full, problems := o.withEnv()
	for _, p := range problems {
		e.problem("%s", p)
	}
	if err := e.changeBackendLocked(full.Backend); err != nil {
		return err
	}
	e.tryAgain()
	e.opts, e.inForce = o, full
	e.strategy = e.chooseStrategy()
	e.armSealed() // nobody will set these again
	return nil
}

// ErrBackendChange: a backend cannot be left in a running program.
var ErrBackendChange = errors.New("backend change")

// changeBackendLocked disarms everything and closes the machine, so that the
// next arm opens another; nothing if the backend is the right one.
func (e *Engine) changeBackendLocked(to string) error {
	if e.m != nil && to == e.m.Backend() {
		return nil
	}
	if to == BackendProcmem && aliasInUse() {
		return fmt.Errorf("%w: pages that moved to the alias stay there (shared), and procmem cannot write to them: "+
			"choose %s before the first key is set", ErrBackendChange, BackendProcmem)
	}
	if e.m == nil || to == "" {
		return nil
	}
	if err := e.disarmLocked(); err != nil {
		return err
	}
	err := e.m.Close()
	e.m, e.mErr = nil, nil
	return err
}

// tryAgain forgets why there is no machine: a reason may have passed, or new
// options may help.
func (e *Engine) tryAgain() {
	e.later = nil
	if e.m == nil {
		e.mErr = nil
	}
	if e.img == nil {
		e.imgErr = nil
	}
}

// chooseStrategy returns the strategy in force: the option's, or what the
// manual of this CPU allows (docs/PROTOCOL.md, "What the manuals allow").
func (e *Engine) chooseStrategy() protocol.Strategy {
	if s, err := parseStrategy(e.inForce.Strategy); err == nil {
		return s
	}
	if e.vendor == vendorAMD {
		return protocol.Store
	}
	return protocol.Int3
}

// vendorAMD is the maker whose manual sanctions asynchronous modification by a
// single store (AMD APM vol. 2, 7.6.1).
const vendorAMD = "AuthenticAMD"

// loadImage makes the image known; it stays the same for the process.
func (e *Engine) loadImage() error {
	if e.img == nil && e.imgErr == nil {
		e.img, e.imgErr = e.openImg()
	}
	return e.imgErr
}

// bringUp makes the machine ready at the first arm. Failure for good is kept;
// what may pass (a tracer) is tried again next time.
func (e *Engine) bringUp() error {
	if e.m != nil || e.mErr != nil {
		return e.mErr
	}
	full, problems := e.opts.withEnv()
	for _, p := range problems {
		e.problem("%s", p)
	}
	e.inForce = full
	e.strategy = e.chooseStrategy()
	if err := e.loadImage(); err != nil {
		e.mErr = err
		return err
	}
	if full.Backend == BackendNone {
		e.mErr = fmt.Errorf("backend %s was chosen", BackendNone)
		return e.mErr
	}
	m, err := e.openM(e.img, full, e.ours)
	var t *laterError
	if errors.As(err, &t) {
		return err
	}
	e.m, e.mErr = m, err
	return err
}

// ours reports whether b at addr is what we have written there: a byte of an
// armed site, or anything that a batch on its way back may find. It is called by
// the machine, under the lock.
func (e *Engine) ours(addr uintptr, b byte) bool {
	for i := range e.pokes {
		p := &e.pokes[i]
		if off := int(addr - p.site.addr); e.driving && p.site.covers(addr) && p.among(uint64(b), off, 1) {
			return true
		}
	}
	if err := e.remember(); err != nil {
		return false // a sealed key's byte cannot be told from a foreign one
	}
	if c := e.indirectAt(addr); c != nil {
		code := c.code(c.stub)
		return b == code.B[addr-c.site.addr]
	}
	for _, k := range e.keys {
		if s := k.siteAt(addr); s != nil && s.state == Armed {
			c := k.code(s, k.shown)
			return b == c.B[addr-s.addr]
		}
	}
	return false
}

// siteAt returns the site that the byte at addr belongs to.
func (k *Key) siteAt(addr uintptr) *Site {
	i, found := slices.BinarySearchFunc(k.sites, addr, func(s Site, a uintptr) int { return cmp.Compare(s.addr, a) })
	if !found {
		i--
	}
	if i < 0 || !k.sites[i].covers(addr) {
		return nil
	}
	return &k.sites[i]
}

// laterError is a reason that may pass: try again at the next arm.
type laterError struct{ err error }

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }
