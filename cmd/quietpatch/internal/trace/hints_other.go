//go:build !linux

package trace

import "runtime"

func hints() []string {
	return []string{"this is " + runtime.GOOS + "/" + runtime.GOARCH + "; on linux/amd64 it can be watched"}
}
