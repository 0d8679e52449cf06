//go:build !(linux && amd64)

package ipitracefs

import "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"

// Tracer cannot be opened here.
type Tracer struct{ ipitrace.None }

// Open fails.
func Open(ipitrace.Options) (*Tracer, error) { return nil, ipitrace.ErrNone }

// RemoveStale finds nothing.
func RemoveStale() []string { return nil }

// Check says that nothing is there.
func Check() []ipitrace.Finding { return ipitrace.NoneFound() }
