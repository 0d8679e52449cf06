//go:build linux && amd64

package calibrate

import "github.com/quietpatch/quietpatch/statickey"

// Two keys with checks in one straight function each, which the busy thread
// passes through while they are flipped: as many as the kernel's
// sched_schedstats had when batching was measured there, and a thousand.
// Package-level variables, so that each check can be a site.
var (
	smallKey statickey.Bool
	largeKey statickey.Bool
)

const (
	smallSites = 56
	largeSites = 1000
)

// small4 and large5 are inlined at each use; so each use is four or five checks
// of their own.

func small4(s *[5]int) {
	if smallKey.Enabled() {
		s[0]++
	}
	if smallKey.Enabled() {
		s[1]++
	}
	if smallKey.Enabled() {
		s[2]++
	}
	if smallKey.Enabled() {
		s[3]++
	}
}

func large5(s *[5]int) {
	if largeKey.Enabled() {
		s[0]++
	}
	if largeKey.Enabled() {
		s[1]++
	}
	if largeKey.Enabled() {
		s[2]++
	}
	if largeKey.Enabled() {
		s[3]++
	}
	if largeKey.Enabled() {
		s[4]++
	}
}

//go:noinline
func passSmall(s *[5]int) {
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
	small4(s)
}

//go:noinline
func passLarge(s *[5]int) {
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
	large5(s)
}
