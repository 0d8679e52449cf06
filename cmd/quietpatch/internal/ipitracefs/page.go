package ipitracefs

import (
	"encoding/binary"
	"fmt"
)

// layout is that of a sub-buffer of the ring buffer: what the file events/header_page says.
type layout struct {
	commit field // how many bytes of data follow, and flags
	data   int   // where they begin
	size   int   // of all
}

// parseLayout reads the file header_page.
func parseLayout(text []byte) (layout, error) {
	// It has no ID.
	f, err := parseFormat(append([]byte("ID: 0\n"), text...))
	if err != nil {
		return layout{}, err
	}
	stamp, err := f.field("timestamp", 8)
	if err != nil {
		return layout{}, err
	}
	commit, err := f.field("commit", 8)
	if err != nil {
		return layout{}, err
	}
	data, ok := f.fields["data"]
	if !ok || stamp.offset != 0 || commit.offset+commit.size > data.offset || data.size == 0 {
		return layout{}, fmt.Errorf("header_page: expected timestamp, commit and data, found %+v", f.fields)
	}
	return layout{commit: commit, data: data.offset, size: data.offset + data.size}, nil
}

// Of kernel/trace/ring_buffer.c and include/linux/ring_buffer.h.
const (
	missedEvents = 1 << 31 // events before this page were overwritten
	commitMask   = 1<<30 - 1

	typePadding    = 29
	typeTimeExtend = 30
	typeTimeStamp  = 31

	deltaBits = 27
	headBytes = 4
)

// page is what a sub-buffer says before its data.
type page struct {
	start  uint64 // time in nanoseconds
	missed bool   // events before it were lost
	data   []byte
}

func (l layout) page(b []byte) (p page, err error) {
	if len(b) < l.data || l.data < 8 {
		return p, fmt.Errorf("page of the ring buffer: expected %d bytes or more, found %d", l.data, len(b))
	}
	p.start = binary.LittleEndian.Uint64(b)
	commit := l.commit.uint(b)
	p.missed = commit&missedEvents != 0
	length := int(commit & commitMask)
	if length > len(b)-l.data {
		return p, fmt.Errorf("page of the ring buffer: expected %d bytes of data at most, found %d", len(b)-l.data, length)
	}
	p.data = b[l.data : l.data+length]
	return p, nil
}

// each calls f for the records, oldest first, with their times. A record is valid during the call only.
func (p page) each(f func(ts uint64, record []byte)) error {
	r := reader{rest: p.data, ts: p.start}
	for len(r.rest) > 0 {
		record, ok := r.next()
		if !ok {
			return fmt.Errorf("page of the ring buffer: expected an event at byte %d of %d, found %x",
				len(p.data)-len(r.rest), len(p.data), r.rest[:min(8, len(r.rest))])
		}
		if record != nil {
			f(r.ts, record)
		}
	}
	return nil
}

// reader walks through the data of a page.
type reader struct {
	rest []byte
	ts   uint64
}

// next takes one entry: a record, or nil for what only tells the time or fills. ok is false if it does
// not fit into the page.
func (r *reader) next() (record []byte, ok bool) {
	b := r.rest
	if len(b) < headBytes {
		return nil, false
	}
	head := binary.LittleEndian.Uint32(b)
	typ, delta := head&31, uint64(head>>5)
	if typ >= 1 && typ <= 28 { // short: the type is the length in words
		n := headBytes + int(typ)*4
		if n > len(b) {
			return nil, false
		}
		r.ts += delta
		r.rest = b[n:]
		return b[headBytes:n], true
	}
	if typ == typePadding && delta == 0 { // up to the end
		r.rest = nil
		return nil, true
	}
	if len(b) < 2*headBytes {
		return nil, false
	}
	word := binary.LittleEndian.Uint32(b[headBytes:])
	switch typ {
	case typeTimeExtend:
		r.ts += uint64(word)<<deltaBits + delta
		r.rest = b[2*headBytes:]
		return nil, true
	case typeTimeStamp:
		r.ts = absolute(uint64(word)<<deltaBits+delta, r.ts)
		r.rest = b[2*headBytes:]
		return nil, true
	}
	// A long record, or one that was discarded: the word is the length, with itself.
	n := headBytes + (int64(word)+3)&^3
	if word < headBytes || n > int64(len(b)) {
		return nil, false
	}
	r.rest = b[n:]
	if typ == typePadding {
		return nil, true // rb_update_read_stamp leaves the time as it is
	}
	r.ts += delta
	return b[2*headBytes : n], true
}

// absolute completes a time stamp, which has 59 bits, from the last one (rb_fix_abs_ts).
func absolute(ts, last uint64) uint64 {
	const high = uint64(0xf8) << 56
	ts |= last & high
	if last > ts+1<<58 { // the 59 bits have begun anew
		ts += 1 << 59
	}
	return ts
}
