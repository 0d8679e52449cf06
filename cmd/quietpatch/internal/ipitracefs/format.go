package ipitracefs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// format is how the kernel lays out the records of an event: what its file "format" says
// (Documentation/trace/events.rst, section 4).
type format struct {
	id     uint16
	fields map[string]field
}

type field struct {
	offset, size int
}

// recordMax is more than a record can have: it fits into a sub-buffer, of 64 pages at most
// (kernel/trace/trace.c, buffer_subbuf_size_write).
const recordMax = 64 * 4096

// parseFormat reads a file "format". A field without a size of its own, such as an array whose
// length is in another field, has the size 0.
func parseFormat(text []byte) (format, error) {
	f := format{fields: make(map[string]field)}
	hasID := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if id, ok := strings.CutPrefix(line, "ID: "); ok {
			n, err := strconv.ParseUint(id, 10, 16)
			if err != nil {
				return format{}, fmt.Errorf("format of an event: expected a number behind ID, found %q", id)
			}
			f.id, hasID = uint16(n), true
			continue
		}
		if name, fd, ok, err := parseField(line); err != nil {
			return format{}, err
		} else if ok {
			f.fields[name] = fd
		}
	}
	if !hasID {
		return format{}, fmt.Errorf("format of an event: expected a line with its ID, found none")
	}
	return f, nil
}

// parseField reads a line such as "field:unsigned int cpu;	offset:8;	size:4;	signed:0;".
func parseField(line string) (name string, f field, ok bool, err error) {
	declaration, rest, ok := strings.Cut(line, ";")
	declaration, is := strings.CutPrefix(declaration, "field:")
	if !ok || !is {
		return "", field{}, false, nil
	}
	name = declaration[strings.LastIndexAny(declaration, " \t*")+1:]
	name, _, _ = strings.Cut(name, "[")
	if f.offset, err = number(rest, "offset:"); err != nil {
		return "", field{}, false, fmt.Errorf("field %q: %w", name, err)
	}
	if f.size, err = number(rest, "size:"); err != nil {
		return "", field{}, false, fmt.Errorf("field %q: %w", name, err)
	}
	return name, f, true, nil
}

func number(text, behind string) (int, error) {
	_, rest, _ := strings.Cut(text, behind)
	digits, _, _ := strings.Cut(rest, ";")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || n > recordMax {
		return 0, fmt.Errorf("expected a number up to %d behind %q, found %q", recordMax, behind, digits)
	}
	return int(n), nil
}

// field returns a field that has to be there.
func (f format) field(name string, sizes ...int) (field, error) {
	fd, ok := f.fields[name]
	if !ok {
		return field{}, fmt.Errorf("event %d: expected a field %q, found none", f.id, name)
	}
	for _, size := range sizes {
		if fd.size == size {
			return fd, nil
		}
	}
	return field{}, fmt.Errorf("event %d: expected field %q with a size of %d bytes, found %d", f.id, name, sizes, fd.size)
}

// uint reads the field of a record. A record that is too short has 0 there.
func (f field) uint(record []byte) uint64 {
	if f.offset+f.size > len(record) {
		return 0
	}
	b := record[f.offset:]
	switch f.size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text reads a field that is a string of a fixed size.
func (f field) text(record []byte) string {
	if f.offset+f.size > len(record) {
		return ""
	}
	return cString(record[f.offset : f.offset+f.size])
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// dynamic returns what a __data_loc field points to: 16 bits of offset, 16 bits of length
// (include/trace/stages/stage1_struct_define.h and stage2).
func (f field) dynamic(record []byte) []byte {
	loc := f.uint(record)
	offset, length := int(loc&0xffff), int(loc>>16&0xffff)
	if f.size != 4 || offset+length > len(record) {
		return nil
	}
	return record[offset : offset+length]
}
