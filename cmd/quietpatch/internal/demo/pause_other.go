//go:build !linux

package demo

import "time"

func pause(d time.Duration) { time.Sleep(d) }
