package arena

import "slices"

// spans are free ranges, sorted by address; no two of them touch.
type spans struct{ list []span }

type span struct{ addr, size uintptr }

func (s span) end() uintptr { return s.addr + s.size }

// take cuts n bytes out of the smallest span that has them (best fit), the
// lowest of several. Stubs come in few sizes: mostly one fits exactly. The
// search is linear; the holes among stubs are few beside the system calls of
// the batch that a new stub is part of.
func (s *spans) take(n uintptr) (addr uintptr, ok bool) {
	best := -1
	for i, f := range s.list {
		if f.size >= n && (best < 0 || f.size < s.list[best].size) {
			best = i
			if f.size == n {
				break
			}
		}
	}
	if best < 0 {
		return 0, false
	}
	f := &s.list[best]
	addr = f.addr
	f.addr += n
	f.size -= n
	if f.size == 0 {
		s.list = slices.Delete(s.list, best, best+1)
	}
	return addr, true
}

// put adds a range that no span overlaps and joins it with its neighbours.
func (s *spans) put(addr, n uintptr) {
	i, _ := slices.BinarySearchFunc(s.list, addr, func(f span, at uintptr) int {
		if f.addr < at {
			return -1
		}
		return 1
	})
	s.list = slices.Insert(s.list, i, span{addr, n})
	if i+1 < len(s.list) && s.list[i].end() == s.list[i+1].addr {
		s.list[i].size += s.list[i+1].size
		s.list = slices.Delete(s.list, i+1, i+2)
	}
	if i > 0 && s.list[i-1].end() == s.list[i].addr {
		s.list[i-1].size += s.list[i].size
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// endingAt returns the size of the last span if it ends there.
func (s *spans) endingAt(end uintptr) uintptr {
	if n := len(s.list); n > 0 && s.list[n-1].end() == end {
		return s.list[n-1].size
	}
	return 0
}

func (s *spans) largest() uintptr {
	var n uintptr
	for _, f := range s.list {
		n = max(n, f.size)
	}
	return n
}
