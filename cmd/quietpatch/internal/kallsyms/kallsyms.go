package kallsyms

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Table has the functions of the kernel, by address.
type Table struct {
	addrs   []uint64
	names   []string
	modules []string // "" for the kernel itself
}

// File is where the kernel lists its functions.
const File = "/proc/kallsyms"

// Read reads File.
func Read() (*Table, error) {
	f, err := os.Open(File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	return s, nil
}

// ErrHidden is what Read returns where all addresses are 0.
var ErrHidden = errors.New("the addresses are hidden (kernel.kptr_restrict, or no CAP_SYSLOG): functions are shown as addresses")

// Parse reads lines such as "ffffffff81307830 t do_sync_core [module]".
func Parse(r io.Reader) (*Table, error) {
	s := &Table{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Bytes()
		addr, rest, ok := bytes.Cut(line, []byte(" "))
		if !ok || len(rest) < 3 || bytes.IndexByte([]byte("tTwW"), rest[0]) < 0 {
			continue
		}
		a, err := strconv.ParseUint(string(addr), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("expected an address, found %q", addr)
		}
		name, module, _ := strings.Cut(string(rest[2:]), "\t")
		if a == 0 || strings.HasPrefix(name, "__pfx_") {
			continue
		}
		if n := len(s.modules); n > 0 && s.modules[n-1] == module {
			module = s.modules[n-1] // not a copy for each function
		}
		s.addrs, s.names, s.modules = append(s.addrs, a), append(s.names, baseName(name)), append(s.modules, module)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(s.addrs) == 0 {
		return nil, ErrHidden
	}
	if !slices.IsSorted(s.addrs) {
		sort.Stable((*byAddr)(s)) // modules follow the kernel
	}
	return s, nil
}

// Len returns how many functions there are.
func (s *Table) Len() int { return len(s.addrs) }

type byAddr Table

func (s *byAddr) Len() int           { return len(s.addrs) }
func (s *byAddr) Less(i, j int) bool { return s.addrs[i] < s.addrs[j] }
func (s *byAddr) Swap(i, j int) {
	s.addrs[i], s.addrs[j] = s.addrs[j], s.addrs[i]
	s.names[i], s.names[j] = s.names[j], s.names[i]
	s.modules[i], s.modules[j] = s.modules[j], s.modules[i]
}

// baseName drops what the compiler has added to the name of a function that it has
// changed, such as .constprop.0.
func baseName(name string) string {
	base, _, _ := strings.Cut(name, ".")
	return base
}

// At returns the function that begins at an address. Of several names it is the first.
func (s *Table) At(addr uint64) (string, bool) {
	if s == nil {
		return "", false
	}
	i, ok := slices.BinarySearch(s.addrs, addr)
	if !ok {
		return "", false
	}
	return s.names[i], true
}

// Named returns where the functions of a name begin, for those of which At returns the name.
func (s *Table) Named(name string) (addrs []uint64) {
	if s == nil {
		return nil
	}
	for i, addr := range s.addrs {
		if s.names[i] == name && (i == 0 || s.addrs[i-1] != addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// Has reports whether there is a function of a name, or a part or copy of one that the compiler has
// made of it (f.isra.0).
func (s *Table) Has(name string) bool {
	return s != nil && slices.ContainsFunc(s.names, func(n string) bool {
		rest, ok := strings.CutPrefix(n, name)
		return ok && (rest == "" || rest[0] == '.')
	})
}

// Where a function ends is not listed, only where the next one begins. largest is more than the kernel's functions
// have; the last one of a module is taken for no longer than a page, since others are loaded from
// the next page on.
const (
	largest = 1 << 16
	page    = 1 << 12
)

// ends are the names of places at which no function begins, but the kernel's code ends
// (include/asm-generic/sections.h).
var ends = []string{"_etext", "_einittext", "_end"}

// Around returns the function that an address is in, by the first of its names. It is false for what was
// loaded later.
func (s *Table) Around(addr uint64) (string, bool) {
	if s == nil {
		return "", false
	}
	next, _ := slices.BinarySearch(s.addrs, addr+1)
	if next == 0 {
		return "", false
	}
	begin := s.addrs[next-1]
	first, _ := slices.BinarySearch(s.addrs, begin)
	for _, name := range s.names[first:next] {
		if slices.Contains(ends, name) {
			return "", false
		}
	}
	most := uint64(largest)
	if next == len(s.addrs) || s.modules[next] != s.modules[first] {
		most = page
	}
	if addr-begin >= most {
		return "", false
	}
	return s.names[first], true
}
