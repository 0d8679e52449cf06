//go:build linux && withcgo

package main

// #include <stdint.h>
// #include "cthreads.h"
import "C"

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
)

func init() {
	cThread = func(h *nightly, seed uint64, calls int) error {
		onCThreads.Store(h)
		if errno := C.quietpatch_thread(C.uint64_t(seed), C.int(calls)); errno != 0 {
			return fmt.Errorf("pthread_create: %w", syscall.Errno(errno))
		}
		return nil
	}
}

// onCThreads is the run that the threads of C belong to.
var onCThreads atomic.Pointer[nightly]

// nightStep is called on a thread that C has started. Most calls check; one in
// eight changes keys.
//
//export nightStep
func nightStep(seed C.uint64_t) {
	h := onCThreads.Load()
	if h.over() {
		return
	}
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var s scratch
	if r.IntN(8) == 0 {
		h.operate(r, &s)
		h.count("changes on C threads")
		return
	}
	for range 1 + r.IntN(50) {
		h.roundAll(&s, nightKeys, false)
	}
	h.count("calls back from C")
}
