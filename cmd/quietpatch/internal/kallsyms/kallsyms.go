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
	addrs []uint64
	names []string
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
		name, _, _ := strings.Cut(string(rest[2:]), "\t")
		if a == 0 || strings.HasPrefix(name, "__pfx_") {
			continue
		}
		s.addrs, s.names = append(s.addrs, a), append(s.names, baseName(name))
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

// Around returns the function that an address is in.
func (s *Table) Around(addr uint64) (string, bool) {
	if s == nil {
		return "", false
	}
	i, ok := slices.BinarySearch(s.addrs, addr)
	if !ok {
		i--
	}
	if i < 0 {
		return "", false
	}
	return s.names[i], true
}
