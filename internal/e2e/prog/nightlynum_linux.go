package main

import (
	"fmt"
	"time"

	"github.com/quietpatch/quietpatch/statickey"
)

// Kinds of keys, for the report.
const (
	kindBool = iota
	kindInt32
	kindInt64
	kindUint32
	kindDuration
	kindCounted
	kindSealed
)

var kindNames = [...]string{"bool", "int32", "int64", "uint32", "duration", "counted", "sealed"}

// numberKeys are changed like Bools, and together with them.
var numberKeys = []*nightKey{
	numberKey("prog.int32", kindInt32, &num32, values32, []nightFunc{
		{"compares32", compares32, 8, sawBits, answers32},
		{"threeWay32", threeWay32, 2, sawBits, answersThreeWay32},
		{"switch32", switch32, 1, sawOne, answersSwitch32},
		{"loads32", loads32, 15, sawRow, nil},
	}),
	numberKey("prog.int64", kindInt64, &num64, values64, []nightFunc{
		{"compares64", compares64, 8, sawBits, answers64},
		{"far64", far64, 2, sawBits, answersFar64},
		{"loads64", loads64, 16, sawRow, nil},
	}),
	numberKey("prog.uint32", kindUint32, &numU32, valuesU32, []nightFunc{
		{"comparesU32", comparesU32, 8, sawBits, answersU32},
		{"loadsU32", loadsU32, 8, sawRow, nil},
	}),
	numberKey("prog.duration", kindDuration, &numD, valuesD, []nightFunc{
		{"comparesD", comparesD, 5, sawBits, answersD},
		{"loadsD", loadsD, 4, sawRow, nil},
	}),
	numberKey("night.one32", kindInt32, &night.one32, values32, []nightFunc{
		{"again32", again32, 16, sawAgain, nil},
	}),
	numberKey("night.one64", kindInt64, &night.one64, values64, []nightFunc{
		{"again64", again64, 16, sawAgain, nil},
	}),
}

// numberKey describes a number. It has the value that its variable started with.
func numberKey[T statickey.Integer](name string, kind int, key *statickey.Value[T], values []T, fast []nightFunc) *nightKey {
	k := &nightKey{name: name, kind: kind, fast: fast}
	start := memoryOf(key)
	for i, v := range values {
		k.values = append(k.values, int64(v))
		if v == start {
			k.word.Store(quietWord(0, i))
		}
	}
	k.set = func(v int64) error { return key.Set(T(v)) }
	k.setNoWait = func(v int64) error { return key.SetNoWait(T(v)) }
	k.queue = func(b *statickey.Batch, v int64) { statickey.SetValue(b, key, T(v)) }
	k.memory = func() int64 { return int64(memoryOf(key)) }
	k.text = func(v int64) string {
		if kind == kindDuration {
			return time.Duration(v).String()
		}
		return fmt.Sprint(T(v))
	}
	k.sites = key.Sites
	k.register = func(name, desc string) error { return statickey.RegisterValue(key, name, desc) }
	return k.prepare()
}

// memoryOf reads the number through a pointer: never a site.
//
//go:noinline
func memoryOf[T statickey.Integer](k *statickey.Value[T]) T { return k.Get() }

// changingKeys are those that operate changes, in the order in which they are locked;
// nightKeys are all that the checkers check.
var (
	changingKeys = append(append([]*nightKey{}, boolKeys...), numberKeys...)
	nightKeys    = append(append([]*nightKey{}, changingKeys...), countedNight, sealedNight, lateNight)
)
