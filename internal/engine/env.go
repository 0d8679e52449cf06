package engine

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// envKeys holds values for keys: "net.*=on, db.timeout=250ms".
const envKeys = "QUIETPATCH"

// rule is one entry of it.
type rule struct {
	pattern, value string
	used           bool
}

// parseRules reads entries separated by commas or semicolons.
func parseRules(s string) (rules []rule, problems []string) {
	for _, entry := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' }) {
		entry = strings.TrimSpace(entry)
		pattern, value, ok := strings.Cut(entry, "=")
		switch {
		case entry == "":
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: %q ignored: expected NAME=VALUE, such as net.*=on", envKeys, entry))
		case checkGlob(pattern) != nil:
			problems = append(problems, fmt.Sprintf("%s: %q ignored: %v", envKeys, entry, checkGlob(pattern)))
		default:
			rules = append(rules, rule{pattern: strings.TrimSpace(pattern), value: strings.TrimSpace(value)})
		}
	}
	return rules, problems
}

// loadRules reads the environment once.
func (e *Engine) loadRules() {
	if e.rules != nil {
		return
	}
	rules, problems := parseRules(os.Getenv(envKeys))
	e.rules = append([]rule{}, rules...)
	for _, p := range problems {
		e.problem("%s", p)
	}
}

// activate gives a key that has been registered the value that the environment has
// for it; of several the last counts. Nothing is patched: the key has just come to
// be, and its checks read memory. The lock is held, and given up while the key's
// validation is asked. A typo in the environment must not stop a program, so what
// is wrong becomes a problem.
func (e *Engine) activate(k *Key) {
	e.loadRules()
	if k.callees != nil {
		return // nobody can name a function there
	}
	for i := range e.rules {
		r := &e.rules[i]
		if !glob(r.pattern, k.name) {
			continue
		}
		if k.owner != "" && !names(r.pattern) {
			continue
		}
		r.used = true
		if k.owner != "" {
			e.problem("%s: %s=%s ignored: %v", envKeys, r.pattern, r.value, k.owned())
			continue
		}
		v, err := k.parse(r.value)
		if err == nil {
			e.mu.Unlock()
			err = k.judge(v)
			e.mu.Lock()
		}
		switch {
		case err != nil:
			e.problem("%s: %s=%s ignored for %s: %v", envKeys, r.pattern, r.value, k.label(), err)
		case k.wasSet || k.armed > 0 || k.seal == sealed:
			e.problem("%s: %s=%s came too late for %s: it was set before it was registered", envKeys, r.pattern, r.value, k.label())
		default:
			k.cell.Store(v)
		}
	}
}

// unusedRules are entries that no key has matched so far.
func (e *Engine) unusedRules() []string {
	var out []string
	for _, r := range e.rules {
		if !r.used {
			out = append(out, fmt.Sprintf("%s: %s=%s matches no key so far", envKeys, r.pattern, r.value))
		}
	}
	return out
}

// Validate makes f judge the values of k. If it refuses the present one, the key
// gets back the one that it started with, and the error is returned.
func (e *Engine) Validate(k *Key, f func(int64) error) error {
	e.mu.Lock()
	k = e.known(k)
	e.list(k)
	k.validate.Store(&f)
	e.validators.Add(1)
	for {
		present := k.value()
		e.mu.Unlock()
		err := f(present)
		if err == nil {
			return nil
		}
		e.mu.Lock()
		if k.value() == present {
			defer e.mu.Unlock()
			err = fmt.Errorf("quietpatch: %s: %s is refused: %w", k.label(), k.text(present), err)
			e.problem("%v; it starts with %s", err, k.text(k.initial))
			return errors.Join(err, e.applyLocked([]Change{{Key: k, Value: k.initial}}, false))
		}
	}
}
