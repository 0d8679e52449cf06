package trace

import (
	"errors"
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipibpf"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitracefs"
)

// A backend is a way to watch the kernel.
type backend struct {
	name  string // as --backend has it
	title string
	open  func(ipitrace.Options) (ipitrace.Tracer, error)
	check func() []ipitrace.Finding
}

// backends, the better one first.
var backends = []backend{
	{"bpf", "eBPF", openBPF, ipibpf.Check},
	{"tracefs", "tracefs", openTracefs, ipitracefs.Check},
}

func openBPF(o ipitrace.Options) (ipitrace.Tracer, error) {
	t, err := ipibpf.Open(o)
	if err != nil {
		return nil, err // not a nil pointer in an interface
	}
	return t, nil
}

func openTracefs(o ipitrace.Options) (ipitrace.Tracer, error) {
	t, err := ipitracefs.Open(o)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Auto is the name for the first backend that works.
const Auto = "auto"

// Backends returns the names that Open takes.
func Backends() []string {
	names := []string{Auto}
	for _, b := range backends {
		names = append(names, b.name)
	}
	return names
}

// ErrBackend is wrapped by errors about a name that no backend has.
var ErrBackend = errors.New("no such backend")

// chosen are the backends that a name stands for.
func chosen(name string) ([]backend, error) {
	if name == Auto || name == "" {
		return backends, nil
	}
	for _, b := range backends {
		if b.name == name {
			return []backend{b}, nil
		}
	}
	return nil, fmt.Errorf("%w: %q; there are %s", ErrBackend, name, strings.Join(Backends(), ", "))
}

// Open opens the first of the backends that works. A note says why a better one did not.
func Open(name string, o ipitrace.Options) (t ipitrace.Tracer, note string, err error) {
	some, err := chosen(name)
	if err != nil {
		return nil, "", err
	}
	return openFirst(some, o)
}

func openFirst(some []backend, o ipitrace.Options) (t ipitrace.Tracer, note string, err error) {
	var errs []error
	for _, b := range some {
		t, err := b.open(o)
		if err == nil {
			if len(errs) > 0 {
				note = "another backend sees more, but does not work here: " + errors.Join(errs...).Error()
			}
			return t, note, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", b.title, err))
	}
	return nil, "", unable(errs)
}

// unable joins what the backends say with what the process lacks.
func unable(errs []error) error {
	var b strings.Builder
	b.WriteString("who interrupts a CPU cannot be watched here")
	for _, err := range errs {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	for _, hint := range hints() {
		fmt.Fprintf(&b, "\n  %s", hint)
	}
	return &unableError{b.String(), errs}
}

type unableError struct {
	text string
	errs []error
}

func (e *unableError) Error() string   { return e.text }
func (e *unableError) Unwrap() []error { return e.errs }
