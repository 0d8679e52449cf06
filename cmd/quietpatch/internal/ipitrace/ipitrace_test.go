package ipitrace

import (
	"errors"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// TestNone: a backend that was not built to work says so in all ways.
func TestNone(t *testing.T) {
	var tr Tracer = &None{}
	_, read := tr.Read()
	if _, closed := tr.Close(); !errors.Is(read, ErrNone) || !errors.Is(closed, ErrNone) {
		t.Errorf("read %v, close %v", read, closed)
	}
	if f := NoneFound(); len(f) != 1 || f[0].OK || !f[0].Needed || f[0].Why != ErrNone.Error() {
		t.Errorf("found %+v", f)
	}
}

func TestFoundSymbols(t *testing.T) {
	table, err := kallsyms.Parse(strings.NewReader("1000 t f\n2000 t g\n"))
	if f := FoundSymbols(table, err); !f.OK || f.Why != "2 functions" || f.Lost == "" {
		t.Errorf("found %+v", f)
	}
	if f := FoundSymbols(nil, kallsyms.ErrHidden); f.OK || f.Needed || f.Why != kallsyms.ErrHidden.Error() {
		t.Errorf("found %+v", f)
	}
}
