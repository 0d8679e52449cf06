//go:build !linux

package isolate

import (
	"errors"
	"runtime"
)

var errUnsupported = errors.New("isolated threads exist on linux only, this is " + runtime.GOOS)

func gettid() int { return 0 }

func blockSignals() (unblock func() error, err error) { return nil, errUnsupported }

func checkMapping([]byte) error { return errUnsupported }

func munmap([]byte) error { return errUnsupported }

func start([]byte) uintptr { return 0 }
