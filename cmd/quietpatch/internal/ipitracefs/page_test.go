package ipitracefs

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var plainLayout = layout{commit: field{8, 8}, data: 16, size: 4096}

// pageOf makes a page: time stamp, flags, and entries of words.
func pageOf(ts, flags uint64, entries ...[]uint32) []byte {
	var data []byte
	for _, e := range entries {
		for _, word := range e {
			data = binary.LittleEndian.AppendUint32(data, word)
		}
	}
	page := binary.LittleEndian.AppendUint64(nil, ts)
	page = binary.LittleEndian.AppendUint64(page, uint64(len(data))|flags)
	return append(page, data...)
}

func head(typ, delta uint32) uint32 { return typ | delta<<5 }

// short is a record of up to 28 words, whose type is their number.
func short(delta uint32, words ...uint32) []uint32 {
	return append([]uint32{head(uint32(len(words)), delta)}, words...)
}

func long(delta uint32, words ...uint32) []uint32 {
	return append([]uint32{head(0, delta), uint32(4 + 4*len(words))}, words...)
}

func TestPage(t *testing.T) {
	const start = 1 << 59 // so that absolute times have to be completed
	for _, test := range []struct {
		name    string
		page    []byte
		want    []string
		missing bool
	}{
		{"empty", pageOf(start, 0), nil, false},
		{"one", pageOf(start, 0, short(5, 7)), []string{"5: 7"}, false},
		{"times add up", pageOf(start, 0, short(5, 7), short(6, 8, 9)), []string{"5: 7", "11: 8 9"}, false},
		{"a long one", pageOf(start, 0, long(5, slices.Repeat([]uint32{1}, 30)...), short(1, 2)), []string{"5:" + strings.Repeat(" 1", 30), "6: 2"}, false},
		{"more time", pageOf(start, 0, []uint32{head(typeTimeExtend, 3), 2}, short(1, 2)), []string{"268435460: 2"}, false},
		{"a time", pageOf(start, 0, short(9, 1), []uint32{head(typeTimeStamp, 100), 0}, short(1, 2)), []string{"9: 1", "101: 2"}, false},
		{"a discarded one", pageOf(start, 0, []uint32{head(typePadding, 1), 12, 0, 0}, short(1, 2)), []string{"1: 2"}, false},
		{"the rest is not used", pageOf(start, 0, short(1, 2), []uint32{head(typePadding, 0), 0, 0}), []string{"1: 2"}, false},
		{"after a loss", pageOf(start, missedEvents, short(1, 2)), []string{"1: 2"}, true},
		{"after a loss of known size", pageOf(start, missedEvents|1<<30, short(1, 2)), []string{"1: 2"}, true},
	} {
		var got []string
		p, err := plainLayout.page(test.page)
		if err != nil {
			t.Fatal(err)
		}
		err = p.each(func(ts uint64, record []byte) {
			s := fmt.Sprintf("%d:", ts-start)
			for ; len(record) > 0; record = record[4:] {
				s += fmt.Sprint(" ", binary.LittleEndian.Uint32(record))
			}
			got = append(got, s)
		})
		if err != nil || p.missed != test.missing || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v, %v", test.name, got, p.missed, err)
		}
	}
}

func TestPageErrors(t *testing.T) {
	tooLong := pageOf(0, 0, short(1, 2))
	binary.LittleEndian.PutUint64(tooLong[8:], 4096)
	for name, page := range map[string][]byte{
		"nothing":          nil,
		"half a header":    make([]byte, 15),
		"more than is":     tooLong,
		"half an entry":    pageOf(0, 0, short(1, 2))[:16+6],
		"short of a word":  pageOf(0, 0, []uint32{head(2, 1), 7}),
		"long without":     pageOf(0, 0, []uint32{head(0, 1)}),
		"longer than page": pageOf(0, 0, []uint32{head(0, 1), 100, 1}),
		"length 0":         pageOf(0, 0, []uint32{head(0, 1), 0, 1}),
		"length 4 GB":      pageOf(0, 0, []uint32{head(0, 1), 0xffffffff, 1}),
		"padding too long": pageOf(0, 0, []uint32{head(typePadding, 1), 100, 1}),
		"half a time":      pageOf(0, 0, []uint32{head(typeTimeExtend, 1)}),
	} {
		p, err := plainLayout.page(page)
		if err == nil {
			err = p.each(func(uint64, []byte) {})
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAbsolute(t *testing.T) {
	const top = 1 << 59
	for _, test := range [][3]uint64{
		{5, 3, 5}, {5, top + 3, top + 5}, {5, top - 3, top + 5}, {5, 6, 5}, {top - 1, 7*top + 3, 8*top - 1},
	} {
		if got := absolute(test[0], test[1]); got != test[2] {
			t.Errorf("%#x after %#x: got %#x, want %#x", test[0], test[1], got, test[2])
		}
	}
}

// FuzzPage: whatever a page holds, it is read within its bounds, and what is counted of it is
// bounded by its size.
func FuzzPage(f *testing.F) {
	formats, pages := readRecording(f)
	for _, p := range pages {
		f.Add(p.data)
	}
	f.Add(pageOf(1, missedEvents, short(1, 2), long(5, 1, 2, 3)))
	l, d := recordedDecoder(f, formats)
	f.Fuzz(func(t *testing.T, page []byte) {
		c := collector{decoder: d}
		_, _ = c.page(l, page)
		if len(c.records) > len(page)/4+1 {
			t.Fatalf("%d records of %d bytes", len(c.records), len(page))
		}
		counter := recordedCounter()
		counter.from = 0
		counter.add(c.records)
		counter.snapshot(0)
	})
}
