package ipitracefs

import (
	"strings"
	"testing"
)

const sendOneFormat = `name: ipi_send_cpu
ID: 354
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:unsigned int cpu;	offset:8;	size:4;	signed:0;
	field:void * callsite;	offset:16;	size:8;	signed:0;
	field:void *callback;	offset:24;	size:8;	signed:0;
	field:char comm[16];	offset:32;	size:16;	signed:0;

print fmt: "cpu=%u callsite=%pS callback=%pS", REC->cpu, REC->callsite, REC->callback
`

func TestFormat(t *testing.T) {
	f, err := parseFormat([]byte(sendOneFormat))
	if err != nil {
		t.Fatal(err)
	}
	if f.id != 354 || len(f.fields) != 8 {
		t.Errorf("got %+v", f)
	}
	for name, want := range map[string]field{"common_pid": {4, 4}, "cpu": {8, 4}, "callsite": {16, 8}, "callback": {24, 8}, "comm": {32, 16}} {
		if got := f.fields[name]; got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if _, err := f.field("callsite", 4); err == nil || !strings.Contains(err.Error(), "4") {
		t.Errorf("a size that is not expected: %v", err)
	}
	if _, err := f.field("func", 8); err == nil {
		t.Error("a field that is not there")
	}
}

func TestFormatErrors(t *testing.T) {
	for _, text := range []string{
		"",
		"name: x\nformat:\n",
		"ID: x\n",
		"ID: 70000\n",
		strings.Replace(sendOneFormat, "offset:8;", "offset:-8;", 1),
		strings.Replace(sendOneFormat, "size:4;", "size:;", 1),
		strings.Replace(sendOneFormat, "size:4;", "size:400000;", 1),
		strings.Replace(sendOneFormat, "offset:8;", "offset:99999999999999999999;", 1),
		strings.Replace(sendOneFormat, "	size:4;", "", 1),
	} {
		if f, err := parseFormat([]byte(text)); err == nil {
			t.Errorf("%q: got %+v", text, f)
		}
	}
}

// TestEventFormats: an event whose fields have other names or sizes is refused, with their names.
func TestEventFormats(t *testing.T) {
	e := eventOf(t, "ipi/ipi_send_cpu")
	if err := newDecoder().add(e, []byte(sendOneFormat)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"callback;", "handler;"}, {"cpu;	offset:8;	size:4", "cpu;	offset:8;	size:8"}, {"common_pid", "pid"}, {"ID: 354", ""},
	} {
		err := newDecoder().add(e, []byte(strings.Replace(sendOneFormat, change[0], change[1], 1)))
		if err == nil || !strings.Contains(err.Error(), "ipi/ipi_send_cpu") {
			t.Errorf("%q: %v", change, err)
		}
	}
}

// FuzzFormat: whatever a format says, records are read within their bounds.
func FuzzFormat(f *testing.F) {
	formats, pages := readRecording(f)
	for _, e := range events {
		f.Add(formats[e.name], pages[0].data[16:80])
	}
	f.Add([]byte(sendOneFormat), []byte{})
	f.Fuzz(func(t *testing.T, text, raw []byte) {
		if l, err := parseLayout(text); err == nil {
			if p, err := l.page(raw); err == nil {
				_ = p.each(func(uint64, []byte) {})
			}
		}
		for i := range events {
			d := newDecoder()
			if d.add(&events[i], text) != nil {
				continue
			}
			if len(raw) >= d.common.typ.offset+2 {
				f, _ := parseFormat(text)
				raw[d.common.typ.offset], raw[d.common.typ.offset+1] = byte(f.id), byte(f.id>>8)
			}
			d.record(1, 0, raw)
		}
	})
}
