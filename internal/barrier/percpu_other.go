//go:build !(linux && amd64)

package barrier

import "errors"

// ErrPerCPU is wrapped by the errors of [RegisterPerCPU] where CPUs cannot be synced
// one by one.
var ErrPerCPU = errors.New("no membarrier by CPU")

// PerCPU are counts of syncs by CPU.
type PerCPU struct{ Syncs, Repeated, Unspared uint64 }

// PerCPUCounts returns no counts.
func PerCPUCounts() PerCPU { return PerCPU{} }

// RegisterPerCPU reports that there is nothing of the kind here.
func RegisterPerCPU(int) error { return ErrPerCPU }

// SyncExcept reports that there is no sync here.
func SyncExcept([]int) (left bool, err error) { return false, Register() }

// SerializeSelf does nothing.
func SerializeSelf() {}

// HavePerCPU reports that CPUs cannot be synced one by one.
func HavePerCPU() bool { return false }

// PerCPUError says the same.
func PerCPUError() error { return ErrPerCPU }
