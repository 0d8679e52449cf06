package ipitracefs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// The recording of testdata: formats, pages and symbols of Linux 6.18 with two CPUs, while the
// scenarios membarrier and timestamp ran one after the other. Only work items have stacks.
// TestRecord makes it, and says which processes they were.
const (
	recordedTurns  = 20 // of membarrier
	recordedCycles = 5  // of timestamp
	recordedVictim = 1
	membarrierPID  = 16685
	timestampPID   = 16704
	formatsFile    = "testdata/linux-6.18.formats"
	pagesFile      = "testdata/linux-6.18.pages"
	symbolsFile    = "testdata/linux-6.18.symbols"
)

// recordedPage is a page of one CPU.
type recordedPage struct {
	cpu  int
	data []byte
}

func readRecording(t testing.TB) (formats map[string][]byte, pages []recordedPage) {
	t.Helper()
	text, err := os.ReadFile(formatsFile)
	if err != nil {
		t.Fatal(err)
	}
	formats = make(map[string][]byte)
	for part := range bytes.SplitSeq(text, []byte("== ")) {
		name, format, ok := bytes.Cut(part, []byte("\n"))
		if ok {
			formats[string(name)] = format
		}
	}
	raw, err := os.ReadFile(pagesFile)
	if err != nil {
		t.Fatal(err)
	}
	for len(raw) >= 8 {
		cpu, n := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:])
		pages = append(pages, recordedPage{int(cpu), raw[8 : 8+n]})
		raw = raw[8+n:]
	}
	if len(formats) == 0 || len(pages) == 0 {
		t.Fatal("the recording is empty")
	}
	return formats, pages
}

// recordedDecoder has the formats of the recording.
func recordedDecoder(t testing.TB, formats map[string][]byte) (layout, *decoder) {
	t.Helper()
	l, err := parseLayout(formats["header_page"])
	if err != nil {
		t.Fatal(err)
	}
	d := newDecoder()
	for i := range events {
		e := &events[i]
		if err := d.add(e, formats[e.name]); err != nil {
			t.Fatal(err)
		}
	}
	return l, d
}

func eventOf(t testing.TB, name string) *event {
	t.Helper()
	for i := range events {
		if events[i].name == name {
			return &events[i]
		}
	}
	t.Fatalf("no event %s", name)
	return nil
}

func recordedSymbols() (*kallsyms.Table, error) {
	text, err := os.ReadFile(symbolsFile)
	if err != nil {
		return nil, err
	}
	return kallsyms.Parse(strings.NewReader(string(text)))
}

func appendPage(to []byte, cpu int, page []byte) []byte {
	to = binary.LittleEndian.AppendUint32(to, uint32(cpu))
	to = binary.LittleEndian.AppendUint32(to, uint32(len(page)))
	return append(to, page...)
}

func section(name string, text []byte) string { return fmt.Sprintf("== %s\n%s", name, text) }
