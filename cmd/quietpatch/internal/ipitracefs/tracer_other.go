//go:build !(linux && amd64)

package ipitracefs

import (
	"errors"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// Tracer cannot be opened here.
type Tracer struct{}

var errElsewhere = errors.New("interrupts can be watched on linux/amd64 only")

// Open fails.
func Open(ipitrace.Options) (*Tracer, error) { return nil, errElsewhere }

// Read fails.
func (*Tracer) Read() (ipi.Snapshot, error) { return ipi.Snapshot{}, errElsewhere }

// Close fails.
func (*Tracer) Close() (ipi.Snapshot, error) { return ipi.Snapshot{}, errElsewhere }

// Mode is empty.
func (*Tracer) Mode() string { return "" }

// Missing returns nothing.
func (*Tracer) Missing() []string { return nil }

// Check says that nothing is there.
func Check() []ipitrace.Finding {
	return []ipitrace.Finding{{Name: "linux/amd64", Needed: true, Why: errElsewhere.Error(), Lost: "everything"}}
}
