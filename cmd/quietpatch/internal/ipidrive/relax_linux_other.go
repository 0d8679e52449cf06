//go:build linux && !amd64

package ipidrive

func relax() {}
