//go:build !(linux && amd64)

package ipibpf

import "errors"

// Tracer cannot be opened here.
type Tracer struct{}

var errElsewhere = errors.New("interrupts can be watched on linux/amd64 only")

// Open fails.
func Open(Options) (*Tracer, error) { return nil, errElsewhere }

// Read fails.
func (*Tracer) Read() (Snapshot, error) { return Snapshot{}, errElsewhere }

// Close fails.
func (*Tracer) Close() (Snapshot, error) { return Snapshot{}, errElsewhere }

// Missing returns nothing.
func (*Tracer) Missing() []string { return nil }

// Check says that nothing is there.
func Check() []Finding {
	return []Finding{{Name: "linux/amd64", Needed: true, Why: errElsewhere.Error(), Lost: "everything"}}
}
