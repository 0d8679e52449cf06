package isolated

import (
	"hash/adler32"
	"hash/crc32"

	"github.com/quietpatch/quietpatch/staticcall"
)

// sum is the call that is retargeted: from one function to another, and to a closure.
var (
	sum  = staticcall.New(sumCRC)
	sums = []func([]byte) uint32{adler32.Checksum, seeded(1), sumCRC}
)

// Sum is its forwarder.
//
//go:noinline
func Sum(b []byte) uint32 { return sum.Func()(b) }

func sumCRC(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// seeded returns a sum that begins elsewhere.
//
//go:noinline
func seeded(seed uint32) func([]byte) uint32 {
	return func(b []byte) uint32 { return crc32.Update(seed, crc32.IEEETable, b) }
}
