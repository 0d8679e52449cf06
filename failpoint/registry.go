package failpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/quietpatch/quietpatch/statickey"
)

// Errors that callers may test for with errors.Is.
var (
	// ErrNotExist: no point of that name is registered.
	ErrNotExist = errors.New("failpoint: no such point")
	// ErrDisabled: the point is off.
	ErrDisabled = errors.New("failpoint: point is off")
	// ErrForbidden: nothing may be turned on in this process.
	ErrForbidden = errors.New("failpoint: not allowed in this process; call failpoint.Allow, or start it with " + EnvVar + "=allow")
)

// registry is the points of a process. Its mutex is held while keys are
// flipped, so that the terms of a point and its key change together.
type registry struct {
	getenv func(string) string

	mu      sync.Mutex
	allowed bool
	points  map[string]*Point
	env     environment
}

var std = registry{getenv: os.Getenv}

// Register gives p a name, by which it is turned on, and a one-line
// description. Write it next to the point:
//
//	var failSend failpoint.Point
//	var _ = failpoint.Register(&failSend, "net/send", "fails the sending of a packet")
//
// A name has letters, digits, '.', '-', '_' and '/'. It also names the point's key,
// with '.' for '/' ([statickey.Keys]). "failpoints" and names that end in
// "/count" are routes of the HTTP interface and are refused. A point without a
// name stays off.
//
// If the environment asks for the point ([EnvVar]), it is on when Register
// returns; the error says why if that failed.
//
//go:noinline
func Register(p *Point, name, description string) error { return std.register(p, name, description) }

// registerKey is a variable because `quietpatch sites` reads calls of
// statickey.Register off the code, and would report one without constants.
var registerKey = statickey.Register

func (r *registry) register(p *Point, name, description string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadEnv()
	if strings.EqualFold(name, "failpoints") || strings.HasSuffix(name, "/count") {
		return fmt.Errorf("failpoint: name %q: it is a route of the HTTP interface; choose another", name)
	}
	statickey.Own(&p.on, "failpoint.Set, which knows the terms")
	// The key's registration also refuses names that are taken or cannot be.
	if err := registerKey(&p.on, strings.ReplaceAll(name, "/", "."), description); err != nil {
		return fmt.Errorf("failpoint: %w", err)
	}
	if r.points == nil {
		r.points = map[string]*Point{}
	}
	r.points[name] = p
	return r.applyEnv()
}

// Allow permits points to be turned on, and turns on those that the environment
// asked for. The error is that of [Set]; the permission is given all the same.
func Allow() error { return std.allow() }

func (r *registry) allow() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadEnv()
	r.allowed = true
	return r.applyEnv()
}

// Forbid turns every point off, in one batch, and takes back the permission,
// also that of the environment, until [Allow] is called. What the environment asked for
// is forgotten. When it returns, no point does anything; an error says
// that their checks could not be turned off and still cost a little.
func Forbid() error { return std.forbid() }

func (r *registry) forbid() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadEnv()
	r.allowed = false
	r.env.pending = nil
	var b statickey.Batch
	for _, p := range r.points {
		p.replace(nil)
		b.Set(&p.on, false)
	}
	return stillOn(b.Apply())
}

// Allowed reports whether points may be turned on.
func Allowed() bool {
	std.mu.Lock()
	defer std.mu.Unlock()
	std.loadEnv()
	return std.allowed
}

// Enable gives a point terms and turns it on. On error nothing has changed: a
// *[SyntaxError], [ErrNotExist], [ErrForbidden], or a *[statickey.SiteError] that
// says why the point's checks could not be rewritten.
func Enable(name, terms string) error { return std.enable(name, terms) }

func (r *registry) enable(name, terms string) error {
	return r.set(func() ([]setting, error) {
		c, err := parseTerms(terms)
		if err != nil {
			return nil, fmt.Errorf("terms of %q: %w", name, err)
		}
		return []setting{{name, terms, c}}, nil
	})
}

// Set gives terms to many points and turns all of them on, or none: the list
// has the form of the environment variables, name=terms;name=terms. Their keys
// are flipped in one batch. If a name occurs twice its last terms count. Errors are
// those of [Enable].
func Set(list string) error { return std.setList(list) }

func (r *registry) setList(list string) error {
	return r.set(func() ([]setting, error) { return parseList(list) })
}

func (r *registry) set(parse func() ([]setting, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadEnv()
	if !r.allowed {
		return ErrForbidden
	}
	settings, err := parse()
	if err != nil {
		return err
	}
	return r.apply(settings)
}

// apply flips first and gives the terms after: a flip can fail, and the key of
// a point without terms does nothing.
func (r *registry) apply(settings []setting) error {
	var b statickey.Batch
	for _, s := range settings {
		p := r.points[s.name]
		if p == nil {
			return fmt.Errorf("%w: %q; failpoint.List has those that are registered", ErrNotExist, s.name)
		}
		b.Set(&p.on, true)
	}
	if err := b.Apply(); err != nil {
		return fmt.Errorf("failpoint: nothing was turned on: %w", err)
	}
	for _, s := range settings {
		r.points[s.name].replace(newProgram(s))
	}
	return nil
}

// Disable turns a point off and ends its sleeps and pauses. It needs no
// permission. The error is [ErrNotExist], [ErrDisabled] if the point was off already, or
// says that the point is off but that its checks could not be turned off and still
// cost a little.
func Disable(name string) error { return std.disable(name) }

func (r *registry) disable(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.points[name]
	if p == nil {
		return fmt.Errorf("%w: %q", ErrNotExist, name)
	}
	was := p.replace(nil)
	if err := stillOn(p.on.Disable()); err != nil {
		return err
	}
	if !was {
		return fmt.Errorf("%w: %q", ErrDisabled, name)
	}
	return nil
}

func stillOn(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failpoint: off, but its check still leads to the evaluation; the next Disable tries again: %w", err)
}

// Status returns the terms of a point, as they were written, and how many
// evaluations did one of them since they were set. The error is [ErrNotExist]
// or [ErrDisabled].
func Status(name string) (terms string, count int, err error) { return std.status(name) }

func (r *registry) status(name string) (string, int, error) {
	r.mu.Lock()
	p := r.points[name]
	r.mu.Unlock()
	if p == nil {
		return "", 0, fmt.Errorf("%w: %q", ErrNotExist, name)
	}
	pr := p.active.Load()
	if pr == nil {
		return "", 0, fmt.Errorf("%w: %q", ErrDisabled, name)
	}
	terms, count := pr.status()
	return terms, count, nil
}

// List returns the names of all points, sorted.
func List() []string { return std.list() }

func (r *registry) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.points))
	for name := range r.points {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
