package main

import (
	"math"
	"time"

	"github.com/quietpatch/quietpatch/statickey"
)

// The numbers, and beside them a counted and a sealed key. Like hammerKey they are
// registered for the tests that list the keys of a file.
var (
	num32  statickey.Int32
	num64  statickey.Int64
	numU32 statickey.Uint32
	numD   = statickey.Of(250 * time.Millisecond)

	countedKey statickey.Counted
	sealedKey  statickey.Sealed
)

var (
	_ = statickey.RegisterValue(&num32, "prog.int32", "a number of 4 bytes")
	_ = statickey.RegisterValue(&num64, "prog.int64", "a number of 8 bytes")
	_ = statickey.RegisterValue(&numU32, "prog.uint32", "a number without sign")
	_ = statickey.RegisterValue(&numD, "prog.duration", "a duration")
	_ = statickey.RegisterCounted(&countedKey, "prog.counted", "on while anybody wants it")
	_ = statickey.RegisterSealed(&sealedKey, "prog.sealed", "constant once it is sealed")
)

// night holds the keys of the nightly. They are fields, and named when it runs: neither
// the other programs nor the tests that list the keys of a file know them.
var night struct {
	a, b, c, d, e statickey.Bool
	one32         statickey.Int32
	one64         statickey.Int64
	late          statickey.Sealed
}

// The values that the numbers get: on both sides of every constant in numbers.go, of what
// fits into 8, 16 and 32 bits, with sign and without, and such as differ in one, two,
// three or four bytes, next to each other or not.
var (
	values32 = []int32{
		0, 1, -1, 2, 3, 4, -4, -5, -6, 127, 128, -128, -129, 255, 256, 99999, 100000, 100001, 0x00FF00FF, 0x7F00007F,
		0x01020304, 0x01FF0304, 0x0102FF04, math.MaxInt32, math.MaxInt32 - 1, math.MinInt32, math.MinInt32 + 1, -100000, 7,
	}
	values64 = []int64{
		0, 1, -1, 999, 1000, 1001, 6, 7, 8, -8, -9, 127, -129, 0x01020304, 0x01FF0304, -0x01020304,
		math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1, math.MaxUint32, 1 << 32, 1<<32 + 7, 1<<32 + 1000,
		1 << 40, -1 << 40, math.MaxInt64, math.MinInt64, math.MinInt64 + 1000,
	}
	valuesU32 = []uint32{
		0, 1, 99, 100, 101, 127, 128, 255, 256, 0xFFFF, 0x10000, 69999, 70000, 70001, 0x01020304, 0x01FF0304, 0x7FFFFFFE,
		0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFF7F, 0xFFFFFFFE, 0xFFFFFFFF,
	}
	valuesD = []time.Duration{
		0, 1, -1, time.Second - 1, time.Second, time.Second + 1, 250 * time.Millisecond, 250*time.Millisecond + 1, 250*time.Millisecond - 1,
		2 * time.Second, 3 * time.Second, time.Hour, -time.Hour, math.MaxInt32, math.MaxInt32 + 1, math.MaxInt64, math.MinInt64,
	}
)

// packed packs the answers of checks, the first one lowest.
func packed(bs ...bool) (n int) {
	for i, b := range bs {
		n |= count(b) << i
	}
	return n
}

// one32 and one64 begin with their one site: at the start of a function its immediate lies
// in one quadword, so that any change between values that fit is one store.
//
//go:noinline
func one32() int32 { return night.one32.Get() }

//go:noinline
func one64() int64 { return night.one64.Get() }

// again32 and again64 ask them over and over: a site that has shown the new value must
// not show the old one again.
//
//go:noinline
func again32(s *scratch) int {
	for i := range s.v {
		s.v[i] = int(one32())
	}
	return len(s.v)
}

//go:noinline
func again64(s *scratch) int {
	for i := range s.v {
		s.v[i] = int(one64())
	}
	return len(s.v)
}

//go:noinline
func counted(s *scratch) (on int) {
	if countedKey.Enabled() {
		on++
	}
	s.n[0]++
	if !countedKey.Enabled() {
		on--
	}
	s.flag[0] = countedKey.Enabled()
	return on + 1 + count(s.flag[0])
}

//go:noinline
func sealed(s *scratch) (on int) {
	if sealedKey.Enabled() {
		on++
	}
	s.n[0]++
	s.flag[0] = sealedKey.Enabled()
	return on + count(s.flag[0])
}
