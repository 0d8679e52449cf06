package main

import (
	"math"
	"time"
)

// Each function below is followed by what it must answer. The store in each branch keeps
// it a branch, and the one behind it makes the compiler read the number again.

//go:noinline
func compares32(s *scratch) (b int) {
	if num32.Get() == 3 {
		s.n[8]++
		b |= 1
	}
	s.n[0]++
	if num32.Get() != -5 {
		s.n[8]++
		b |= 2
	}
	s.n[1]++
	if num32.Get() < 3 {
		s.n[8]++
		b |= 4
	}
	s.n[2]++
	if num32.Get() <= 100000 {
		s.n[8]++
		b |= 8
	}
	s.n[3]++
	if num32.Get() > -5 {
		s.n[8]++
		b |= 16
	}
	s.n[4]++
	if num32.Get() >= 100000 {
		s.n[8]++
		b |= 32
	}
	s.n[5]++
	if num32.Get() == 100000 {
		s.n[8]++
		b |= 64
	}
	s.n[6]++
	if num32.Get() < 0 {
		s.n[8]++
		b |= 128
	}
	return b
}

func answers32(n int64) int {
	return packed(n == 3, n != -5, n < 3, n <= 100000, n > -5, n >= 100000, n == 100000, n < 0)
}

// threeWay32 asks one compare two things, and both signs of another.
//
//go:noinline
func threeWay32(s *scratch) int {
	b := 0
	switch v := num32.Get(); {
	case v < 3:
		b = 1
	case v == 3:
		b = 2
	default:
		b = 3
	}
	s.n[0]++
	switch v := num32.Get(); {
	case v < 100000:
		b |= 4
	case uint32(v) > 100000:
		b |= 8
	}
	return b
}

func answersThreeWay32(n int64) int {
	b := 1 + count(n == 3) + 2*count(n > 3)
	return b | 4*count(n < 100000) | 8*count(n > 100000)
}

//go:noinline
func switch32(*scratch) int {
	switch num32.Get() {
	case 3:
		return 1
	case -5:
		return 2
	case 100000:
		return 3
	case 7:
		return 4
	case 255:
		return 5
	}
	return 0
}

func answersSwitch32(n int64) int { return map[int64]int{3: 1, -5: 2, 100000: 3, 7: 4, 255: 5}[n] }

// loads32 loads the number and extends it, with its sign and without.
//
//go:noinline
func loads32(s *scratch) int {
	s.v[0] = int(num32.Get())
	s.v[1] = int(num32.Get())
	s.v[2] = int(num32.Get())
	s.w[0] = num32.Get()
	s.w[1] = num32.Get()
	s.w[2] = num32.Get()
	s.w[3] = num32.Get()
	s.w[4] = num32.Get()
	s.w[5] = num32.Get()
	s.w[6] = num32.Get()
	s.w[7] = num32.Get()
	s.w[8] = num32.Get()
	s.w[9] = num32.Get()
	s.w[10] = num32.Get()
	s.w[11] = num32.Get()
	for i, v := range s.w[:12] {
		s.v[3+i] = int(v)
	}
	return 15
}

//go:noinline
func compares64(s *scratch) (b int) {
	if num64.Get() > 1000 {
		s.n[8]++
		b |= 1
	}
	s.n[0]++
	if num64.Get() == 7 {
		s.n[8]++
		b |= 2
	}
	s.n[1]++
	if num64.Get() != 1000 {
		s.n[8]++
		b |= 4
	}
	s.n[2]++
	if num64.Get() < -8 {
		s.n[8]++
		b |= 8
	}
	s.n[3]++
	if num64.Get() <= 7 {
		s.n[8]++
		b |= 16
	}
	s.n[4]++
	if num64.Get() >= 1000 {
		s.n[8]++
		b |= 32
	}
	s.n[5]++
	if uint64(num64.Get()) < 1000 {
		s.n[8]++
		b |= 64
	}
	s.n[6]++
	if num64.Get() >= math.MinInt32 {
		s.n[8]++
		b |= 128
	}
	return b
}

func answers64(n int64) int {
	return packed(n > 1000, n == 7, n != 1000, n < -8, n <= 7, n >= 1000, uint64(n) < 1000, n >= math.MinInt32)
}

// far64 compares with what is no immediate, and asks one compare for both signs.
//
//go:noinline
func far64(s *scratch) (b int) {
	if num64.Get() > 1<<40-1 {
		s.n[8]++
		b |= 1
	}
	s.n[0]++
	switch v := num64.Get(); {
	case v < 1000:
		b |= 2
	case uint64(v) > 1000:
		b |= 4
	}
	return b
}

func answersFar64(n int64) int { return packed(n > 1<<40-1, n < 1000, n > 1000) }

//go:noinline
func loads64(s *scratch) int {
	s.v[0] = int(num64.Get())
	s.v[1] = int(num64.Get())
	s.v[2] = int(num64.Get())
	s.v[3] = int(num64.Get())
	s.v[4] = int(num64.Get())
	s.v[5] = int(num64.Get())
	s.v[6] = int(num64.Get())
	s.v[7] = int(num64.Get())
	s.v[8] = int(num64.Get())
	s.v[9] = int(num64.Get())
	s.v[10] = int(num64.Get())
	s.v[11] = int(num64.Get())
	s.v[12] = int(num64.Get())
	s.v[13] = int(num64.Get())
	s.v[14] = int(num64.Get())
	s.v[15] = int(num64.Get())
	return 16
}

//go:noinline
func comparesU32(s *scratch) (b int) {
	if numU32.Get() < 100 {
		s.n[8]++
		b |= 1
	}
	s.n[0]++
	if numU32.Get() >= 100 {
		s.n[8]++
		b |= 2
	}
	s.n[1]++
	if numU32.Get() > 70000 {
		s.n[8]++
		b |= 4
	}
	s.n[2]++
	if numU32.Get() <= 70000 {
		s.n[8]++
		b |= 8
	}
	s.n[3]++
	if numU32.Get() == 70000 {
		s.n[8]++
		b |= 16
	}
	s.n[4]++
	if numU32.Get() < 0x80000000 {
		s.n[8]++
		b |= 32
	}
	s.n[5]++
	if numU32.Get() != 0xFFFFFFFF {
		s.n[8]++
		b |= 64
	}
	s.n[6]++
	if numU32.Get() > 0xFFFFFF7F {
		s.n[8]++
		b |= 128
	}
	return b
}

func answersU32(n int64) int {
	return packed(n < 100, n >= 100, n > 70000, n <= 70000, n == 70000, n < 0x80000000, n != 0xFFFFFFFF, n > 0xFFFFFF7F)
}

//go:noinline
func loadsU32(s *scratch) int {
	s.v[0] = int(numU32.Get())
	s.v[1] = int(numU32.Get())
	s.v[2] = int(numU32.Get())
	s.v[3] = int(numU32.Get())
	s.v[4] = int(numU32.Get())
	s.v[5] = int(numU32.Get())
	s.v[6] = int(numU32.Get())
	s.v[7] = int(numU32.Get())
	return 8
}

//go:noinline
func comparesD(s *scratch) (b int) {
	if numD.Get() > 0 {
		s.n[8]++
		b |= 1
	}
	s.n[0]++
	if numD.Get() >= time.Second {
		s.n[8]++
		b |= 2
	}
	s.n[1]++
	if numD.Get() == 250*time.Millisecond {
		s.n[8]++
		b |= 4
	}
	s.n[2]++
	if numD.Get() < time.Second {
		s.n[8]++
		b |= 8
	}
	s.n[3]++
	if numD.Get() <= 2*time.Second {
		s.n[8]++
		b |= 16
	}
	return b
}

func answersD(n int64) int {
	d := time.Duration(n)
	return packed(d > 0, d >= time.Second, d == 250*time.Millisecond, d < time.Second, d <= 2*time.Second)
}

//go:noinline
func loadsD(s *scratch) int {
	s.v[0] = int(numD.Get())
	s.v[1] = int(numD.Get())
	s.v[2] = int(numD.Get())
	s.v[3] = int(numD.Get())
	return 4
}
