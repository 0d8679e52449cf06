package self

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// mapping is one line of /proc/self/maps (proc_pid_maps(5)).
type mapping struct {
	start, end uint64
	perms      string // "r-xp"
	offset     uint64 // in the file
	path       string
}

// parseMaps reads the format of /proc/self/maps.
func parseMaps(r io.Reader) ([]mapping, error) {
	var ms []mapping
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		m, err := parseMapping(sc.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d of the memory map, %q: %w", len(ms)+1, sc.Text(), err)
		}
		ms = append(ms, m)
	}
	return ms, sc.Err()
}

func parseMapping(line string) (mapping, error) {
	f := strings.Fields(line)
	if len(f) < 5 {
		return mapping{}, fmt.Errorf("expected at least 5 fields, found %d", len(f))
	}
	lo, hi, ok := strings.Cut(f[0], "-")
	if !ok {
		return mapping{}, fmt.Errorf("expected an address range, found %q", f[0])
	}
	m := mapping{perms: f[1], path: strings.Join(f[5:], " ")}
	for _, x := range []struct {
		text string
		to   *uint64
	}{{lo, &m.start}, {hi, &m.end}, {f[2], &m.offset}} {
		v, err := strconv.ParseUint(x.text, 16, 64)
		if err != nil {
			return mapping{}, err
		}
		*x.to = v
	}
	return m, nil
}

// covered reports whether [lo, hi) is mapped without a gap, every part of it
// readable and executable and not writable.
func covered(ms []mapping, lo, hi uint64) error {
	at := lo
	for _, m := range ms {
		if m.end <= at || m.start >= hi {
			continue
		}
		if m.start > at {
			break
		}
		if !strings.HasPrefix(m.perms, "r-x") {
			return fmt.Errorf("expected r-x at %#x, found %s (%s)", at, m.perms, m.path)
		}
		at = m.end
		if at >= hi {
			return nil
		}
	}
	return fmt.Errorf("expected text mapped from %#x to %#x, found a hole at %#x", lo, hi, at)
}
