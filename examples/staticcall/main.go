// Staticcall chooses one of two implementations when it starts, as one does for a CPU's
// special instructions, and another one while it runs.
//
//	go run ./examples/staticcall
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/staticcall"
)

// The checksum is a variable, with a function in front of it.
var sum = staticcall.New(sumGeneric)

var _ = staticcall.Register(&sum, "block.sum", "checksum of a block")

// Sum returns the Internet checksum of a block (RFC 1071). All direct calls of it become
// direct calls of what sum holds.
//
//go:noinline
func Sum(b []byte) uint16 { return sum.Func()(b) }

// hasWide stands for a look at the CPU, such as cpu.X86.HasAVX2 of golang.org/x/sys/cpu.
const hasWide = bits.UintSize == 64

func init() {
	if hasWide {
		_ = sum.Update(sumWide) // on an error it is still the generic one, and right
	}
}

func sumGeneric(b []byte) uint16 {
	var n uint32
	for ; len(b) >= 2; b = b[2:] {
		n += uint32(b[0])<<8 | uint32(b[1])
		n = n&0xFFFF + n>>16
	}
	if len(b) > 0 {
		n += uint32(b[0]) << 8
	}
	return ^uint16(n + n>>16)
}

// sumWide adds eight bytes at once.
func sumWide(b []byte) uint16 {
	var n, carry uint64
	for ; len(b) >= 8; b = b[8:] {
		n, carry = bits.Add64(n, binary.BigEndian.Uint64(b), carry)
	}
	var last [8]byte
	copy(last[:], b)
	n, carry = bits.Add64(n, binary.BigEndian.Uint64(last[:]), carry)
	n, carry = bits.Add64(n, 0, carry)
	n += carry
	n = n>>32 + n&0xFFFFFFFF
	n = n>>32 + n&0xFFFFFFFF
	n = n>>16 + n&0xFFFF
	return ^uint16(n>>16 + n&0xFFFF)
}

// rate measures for how many bytes per second one goroutine computes checksums.
func rate(block []byte) float64 {
	start, n := time.Now(), 0
	for time.Since(start) < 20*time.Millisecond {
		for range 1000 {
			Sum(block)
		}
		n += 1000
	}
	return float64(n*len(block)) / time.Since(start).Seconds()
}

func run(out, speed io.Writer) error {
	block := make([]byte, 1499)
	for i := range block {
		block[i] = byte(i * i)
	}
	calls := 0
	counted := func(b []byte) uint16 { calls++; return sumGeneric(b) }
	for _, f := range []struct {
		name string
		sum  func([]byte) uint16
	}{{"at the start", sum.Current()}, {"generic", sumGeneric}, {"counted", counted}, {"wide", sumWide}} {
		if err := sum.Update(f.sum); err != nil { // live: other goroutines may be in Sum
			return err
		}
		fmt.Fprintf(out, "%s: %#04x\n", f.name, Sum(block))
		fmt.Fprintf(speed, "%s: %.0f MB/s\n", f.name, rate(block)/1e6)
	}
	fmt.Fprintln(out, "counted some:", calls > 0)
	for _, c := range staticcall.Calls() {
		fmt.Fprintf(speed, "%s calls %s; %d of %d call sites are patched, mode %s\n",
			c.Name, c.Target, c.Armed, c.Sites, quietpatch.Status().Mode)
	}
	return nil
}

func main() {
	if err := run(os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
