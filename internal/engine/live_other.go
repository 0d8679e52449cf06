//go:build !(linux && amd64) || race || msan || asan

package engine

import (
	"errors"
	"runtime"
)

// errUnsupported is the reason why this build reads keys from memory.
var errUnsupported = errors.New(unsupported())

// unsupported says what the build lacks. Under the race, memory and address
// sanitizers a read must stay a read that they see.
func unsupported() string {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return "built with -race, -msan or -asan: keys are read from memory, where the sanitizer sees them"
	}
	return "text is patched on linux/amd64 only, this is " + runtime.GOOS + "/" + runtime.GOARCH
}

func vendor() string { return "" }

func openImage() (image, error) { return nil, errUnsupported }

func openMachine(image, Options, func(uintptr, byte) bool) (machine, error) {
	return nil, errUnsupported
}

func aliasInUse() bool { return false }

// Backends returns none: text is not written here.
func Backends() []string { return nil }
