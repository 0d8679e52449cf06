//go:build !linux

package trace

func kernel() string { return "unknown" }
