//go:build linux && !amd64

package ipidrive

import "sync/atomic"

func relax() {}

func spin(turns *atomic.Int64, stop *atomic.Uint32) {
	for stop.Load() == 0 {
		turns.Add(1)
	}
}
