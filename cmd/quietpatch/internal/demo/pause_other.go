//go:build !linux

package demo

import (
	"errors"
	"runtime"
	"time"
)

var errNoAffinity = errors.New("threads are pinned to CPUs only on linux")

func allowedCPUs() ([]int, error) {
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus, nil
}

func pinThread(int) error { return errNoAffinity }

func pause(d time.Duration) { time.Sleep(d) }
