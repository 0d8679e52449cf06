package engine

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// selector chooses keys by name and by where they are checked, in the manner of
// the kernel's dynamic debug (Documentation/admin-guide/dynamic-debug-howto.rst):
//
//	net.*                       a glob over names
//	file server.go              checked in that file: a glob over the path, or over its last part
//	func Serve*                 checked in that function: with or without its package
//	line 10-20, line 10, 10-    checked there
//
// All words of a selector must hold, the last three for one and the same check.
type selector struct {
	name, file, fn string
	from, to       int
}

func (s *selector) places() bool { return s.file != "" || s.fn != "" || s.to > 0 }

const lastLine = 1<<31 - 1

func parseSelector(text string) (selector, error) {
	var s selector
	words := strings.Fields(text)
	if len(words) == 0 {
		return s, fmt.Errorf("%w: empty; expected a name such as net.*, or file, func, line and what they shall match", ErrSelector)
	}
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch word {
		case "name", "file", "func", "line":
			i++
			if i == len(words) {
				return s, fmt.Errorf("%w %q: nothing behind %q", ErrSelector, text, word)
			}
			if err := s.add(word, words[i]); err != nil {
				return s, fmt.Errorf("%w (in %q)", err, text)
			}
		default:
			if err := s.add("name", word); err != nil {
				return s, fmt.Errorf("%w (in %q)", err, text)
			}
		}
	}
	return s, nil
}

func (s *selector) add(what, pattern string) error {
	at := map[string]*string{"name": &s.name, "file": &s.file, "func": &s.fn}[what]
	if at == nil {
		return s.addLines(pattern)
	}
	if *at != "" {
		return fmt.Errorf("%w: %s stands there twice: %q and %q", ErrSelector, what, *at, pattern)
	}
	*at = pattern
	return checkGlob(pattern)
}

func (s *selector) addLines(text string) error {
	low, high, isRange := strings.Cut(text, "-")
	from, err1 := strconv.Atoi(low)
	to, err2 := from, error(nil)
	if isRange {
		if to = lastLine; high != "" {
			to, err2 = strconv.Atoi(high)
		}
	}
	if low == "" && isRange {
		from, err1 = 1, nil
	}
	if errors.Join(err1, err2) != nil || from < 1 || to < from {
		return fmt.Errorf("%w: line %q: expected a line, or a range such as 10-20", ErrSelector, text)
	}
	s.from, s.to = from, to
	return nil
}

func (s *selector) matchesPlace(i *SiteInfo) bool {
	if s.file != "" && !glob(s.file, i.File) && !glob(s.file, path.Base(i.File)) {
		return false
	}
	short := i.Func[strings.LastIndexByte(i.Func, '/')+1:]
	_, bare, _ := strings.Cut(short, ".")
	if s.fn != "" && !glob(s.fn, i.Func) && !glob(s.fn, short) && !glob(s.fn, bare) {
		return false
	}
	return s.to == 0 || i.Line >= s.from && i.Line <= s.to
}

// Selected is a key that a selector chose, and the checks that it chose it for.
type Selected struct {
	KeyInfo
	SiteList []SiteInfo `json:"site_list"`
	key      *Key
}

// Select returns the named keys that the selector chooses, in the order of their
// registration, with their checks: those that match, if the selector speaks of
// places, else all. Nothing is patched. Where text cannot be looked at, keys have no
// checks, and a selector that speaks of places is an error.
func (e *Engine) Select(text string) ([]Selected, error) {
	s, err := parseSelector(text)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.selectLocked(s)
}

func (e *Engine) selectLocked(s selector) ([]Selected, error) {
	var keys []*Key
	for _, k := range e.keys {
		if k.name != "" && k.callees == nil && (s.name == "" || glob(s.name, k.name)) {
			keys = append(keys, k)
		}
	}
	if err := e.search(keys); err != nil && s.places() {
		return nil, err
	}
	var out []Selected
	for _, k := range keys {
		sel := Selected{KeyInfo: k.info(), SiteList: []SiteInfo{}, key: k}
		for _, i := range e.siteInfos(k) {
			if s.matchesPlace(&i) {
				sel.SiteList = append(sel.SiteList, i)
			}
		}
		if len(sel.SiteList) > 0 || !s.places() {
			out = append(out, sel)
		}
	}
	return out, nil
}

// Own keeps selectors and the environment from changing the key at addr, which is part of
// something larger: that would no longer know its own state. The text says what to use instead. It
// comes before the key's registration.
func (e *Engine) Own(addr unsafe.Pointer, use string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ownerAt == nil {
		e.ownerAt = map[unsafe.Pointer]string{}
	}
	e.ownerAt[addr] = use
}

// ErrOwned: a key is part of something larger, which has to be asked to change it.
var ErrOwned = errors.New("key of something larger")

func (k *Key) owned() error { return fmt.Errorf("%s: %w: use %s", k.label(), ErrOwned, k.owner) }

// names reports whether the pattern is the name of a key, not of many.
func names(pattern string) bool { return pattern != "" && !strings.ContainsAny(pattern, `*?[\`) }

// SetSelected gives every key that the selector chooses a value, written as people
// do, in one batch: all of them or none. It returns how many it chose. Keys that are owned
// are left out; to name one is an error.
func (e *Engine) SetSelected(text, value string) (int, error) {
	s, err := parseSelector(text)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	found, err := e.selectLocked(s)
	e.mu.Unlock()
	if err != nil {
		return 0, err
	}
	owned := func(f Selected) bool { return f.key.owner != "" }
	if i := slices.IndexFunc(found, owned); i >= 0 && names(s.name) {
		return 0, found[i].key.owned()
	}
	found = slices.DeleteFunc(found, owned)
	changes := make([]Change, 0, len(found))
	for _, f := range found {
		v, err := f.key.parse(value)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f.key.label(), err)
		}
		if f.Seal && f.Value == v {
			continue // it has the value, and cannot change
		}
		changes = append(changes, Change{Key: f.key, Value: v})
	}
	return len(found), e.Apply(changes)
}
