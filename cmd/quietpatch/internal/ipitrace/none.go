package ipitrace

import (
	"errors"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// ErrNone is what backends say where they were not built to work.
var ErrNone = errors.New("interrupts can be watched on linux/amd64 only")

// None is the tracer of backends there. It cannot be opened.
type None struct{}

// Read fails.
func (*None) Read() (ipi.Snapshot, error) { return ipi.Snapshot{}, ErrNone }

// Close fails.
func (*None) Close() (ipi.Snapshot, error) { return ipi.Snapshot{}, ErrNone }

// Mode is empty.
func (*None) Mode() string { return "" }

// Missing returns nothing.
func (*None) Missing() []string { return nil }

// NoneFound says that nothing is there.
func NoneFound() []Finding {
	return []Finding{{Name: "linux/amd64", Needed: true, Why: ErrNone.Error(), Lost: "everything"}}
}

// Blind returns nothing.
func (*None) Blind() []ipi.Blind { return nil }
