package statickey_test

import (
	"sync/atomic"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// What a check costs: eight checks per iteration in a loop that is bound by
// throughput, the worst case. In a loop that waits for memory or for the result
// before, none of them shows.
var (
	costKey    statickey.Bool
	costBool   bool
	costAtomic atomic.Bool
	costSink   [8]int
)

//go:noinline
func checkNone(n int, s *[8]int) {
	for range n {
		s[7] += 2
	}
}

//go:noinline
func checkKey(n int, s *[8]int) {
	for range n {
		s[7] += 2
		if costKey.Enabled() {
			s[0]++
		}
		if costKey.Enabled() {
			s[1]++
		}
		if costKey.Enabled() {
			s[2]++
		}
		if costKey.Enabled() {
			s[3]++
		}
		if costKey.Enabled() {
			s[4]++
		}
		if costKey.Enabled() {
			s[5]++
		}
		if costKey.Enabled() {
			s[6]++
		}
		if costKey.Enabled() {
			s[7]++
		}
	}
}

//go:noinline
func checkBool(n int, s *[8]int) {
	for range n {
		s[7] += 2
		if costBool {
			s[0]++
		}
		if costBool {
			s[1]++
		}
		if costBool {
			s[2]++
		}
		if costBool {
			s[3]++
		}
		if costBool {
			s[4]++
		}
		if costBool {
			s[5]++
		}
		if costBool {
			s[6]++
		}
		if costBool {
			s[7]++
		}
	}
}

//go:noinline
func checkAtomic(n int, s *[8]int) {
	for range n {
		s[7] += 2
		if costAtomic.Load() {
			s[0]++
		}
		if costAtomic.Load() {
			s[1]++
		}
		if costAtomic.Load() {
			s[2]++
		}
		if costAtomic.Load() {
			s[3]++
		}
		if costAtomic.Load() {
			s[4]++
		}
		if costAtomic.Load() {
			s[5]++
		}
		if costAtomic.Load() {
			s[6]++
		}
		if costAtomic.Load() {
			s[7]++
		}
	}
}

// BenchmarkCheck prints ns per iteration of eight checks, all of them off.
func BenchmarkCheck(b *testing.B) {
	run := func(name string, f func(int, *[8]int)) {
		b.Run(name, func(b *testing.B) {
			f(b.N, &costSink)
		})
	}
	run("none", checkNone)
	run("bool", checkBool)
	run("atomic.Bool", checkAtomic)
	if err := quietpatch.Disarm(); err != nil {
		b.Fatal(err)
	}
	run("key-memory", checkKey)
	if err := quietpatch.Arm(); err != nil {
		b.Skip(err)
	}
	if err := costKey.Enable(); err != nil {
		b.Fatal(err)
	}
	if err := costKey.Disable(); err != nil {
		b.Fatal(err)
	}
	run("key-armed", checkKey)
}
