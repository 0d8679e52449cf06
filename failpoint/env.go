package failpoint

import (
	"errors"
	"fmt"
	"log"
	"slices"
)

// EnvVar is the environment variable that allows points to be turned on. Its
// value is "allow", or a list of points to turn on: name=terms;name=terms. A
// point that is registered later is turned on then. GOFAIL_FAILPOINTS and
// GO_FAILPOINTS are read, too, but only a list in EnvVar and a call of [Allow] give
// permission: the others may be meant for another program.
//
// A value with a mistake is ignored, gives no permission, and is reported to
// the standard logger and by [EnvErr].
const EnvVar = "QUIETPATCH_FAILPOINTS"

// allowWord is the value of EnvVar that names no points.
const allowWord = "allow"

// environment is what the environment asked for.
type environment struct {
	loaded  bool
	pending []setting // not yet applied
	errs    []error
}

// loadEnv reads the environment once, with mu held. Our own variable comes last,
// for the last terms of a point count.
func (r *registry) loadEnv() {
	if r.env.loaded {
		return
	}
	r.env.loaded = true
	for _, name := range []string{"GO_FAILPOINTS", "GOFAIL_FAILPOINTS", EnvVar} {
		text := r.getenv(name)
		if text == "" || name == EnvVar && text == allowWord {
			r.allowed = r.allowed || text != ""
			continue
		}
		settings, err := parseList(text)
		if err != nil {
			form := "a list"
			if name == EnvVar {
				form = fmt.Sprintf("%q or a list", allowWord)
			}
			err = fmt.Errorf("environment variable %s is ignored, expected %s: %w", name, form, err)
			r.env.errs = append(r.env.errs, err)
			log.Print(err)
			continue
		}
		r.env.pending = append(r.env.pending, settings...)
		r.allowed = r.allowed || name == EnvVar && len(settings) > 0
	}
}

// applyEnv turns on, in one batch, what the environment asked for and is
// registered by now, with mu held. It is tried once.
func (r *registry) applyEnv() error {
	if !r.allowed {
		return nil
	}
	var ready, later []setting
	for _, s := range r.env.pending {
		if r.points[s.name] != nil {
			ready = append(ready, s)
		} else {
			later = append(later, s)
		}
	}
	r.env.pending = later
	if len(ready) == 0 {
		return nil
	}
	err := r.apply(ready)
	if err != nil {
		r.env.errs = append(r.env.errs, err)
		log.Print(err)
	}
	return err
}

// EnvErr returns what is wrong with the environment's wishes: mistakes in the
// variables, points that could not be turned on, names that no point has by
// now, or that nothing is allowed. Programs can ask when they have started.
func EnvErr() error { return std.envErr() }

func (r *registry) envErr() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadEnv()
	errs := slices.Clone(r.env.errs)
	for _, s := range r.env.pending {
		if r.allowed {
			errs = append(errs, fmt.Errorf("environment: %w: %q", ErrNotExist, s.name))
		} else {
			errs = append(errs, fmt.Errorf("environment: %q is not turned on: %w", s.name, ErrForbidden))
		}
	}
	return errors.Join(errs...)
}
