package site

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestScan compares the scan with the naive one, in text that is random but for some
// references to the keys: at any place, and at the seams of blocks and segments.
func TestScan(t *testing.T) {
	const at, size = 0x40_1000, 1<<20 + 12345
	text := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(text)
	segs := []Segment{{at, text[:size/2]}, {at + size/2 + 64, text[size/2+7:]}}
	for name, addrs := range map[string][]uint64{
		"one":            {at + size + 0x5678},
		"below the text": {0x1000},
		"within":         {at + size/2 - 3},
		"16 MB away":     {at + size/2 + 1<<24},
		"next to others": near(at+size+0x1000, 300, 1),
		"some room":      near(at+size+0x1000, 3000, 48),
		"far apart":      {0x1000, at + 100, at + 1<<26, at + 1<<33},
		"2 GB away":      {at + size/2 + 1<<31},
		"not in reach":   {at + 1<<40},
		"twice the same": {at + size, at + size + 4, at + size, at + size + 1},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []Key
			for _, a := range addrs {
				keys = append(keys, Key{Addr: a, Width: 1})
			}
			rng := rand.New(rand.NewPCG(3, 4))
			for _, s := range segs {
				end := len(s.Bytes)
				for _, i := range []int{1, 8, 15, 22, scanBlock - 3, scanBlock + 2, 3*scanBlock + 1, end - 21, end - 12, end - 5} {
					plant(rng, s, i, addrs)
				}
				for range 2000 {
					plant(rng, s, 1+rng.IntN(len(s.Bytes)-5), addrs)
				}
			}
			checkScan(t, segs, keys, name != "not in reach")
		})
	}
}

func near(at uint64, n, step int) (out []uint64) {
	for i := range n {
		out = append(out, at+uint64(i*step))
	}
	return out
}

// plant writes ModRM and a displacement to one of the addresses.
func plant(rng *rand.Rand, s Segment, i int, addrs []uint64) {
	s.Bytes[i] = 0x05 | byte(rng.IntN(8))<<3
	next := s.Addr + uint64(i) + 5
	binary.LittleEndian.PutUint32(s.Bytes[i+1:], uint32(addrs[rng.IntN(len(addrs))]-uint64(rng.IntN(5))-next))
}

func checkScan(t *testing.T, segs []Segment, keys []Key, some bool) {
	t.Helper()
	var want []naiveCandidate
	for _, s := range segs {
		want = append(want, scanNaive(s, keys)...)
	}
	if some != (len(want) > 100) {
		t.Fatalf("%d candidates planted", len(want))
	}
	got := scan(segs, keys)
	var g []naiveCandidate
	for i := range got.disps {
		g = append(g, naiveCandidate{got.disps[i], int(got.keys[i])})
	}
	if !slices.Equal(g, want) {
		t.Errorf("%d candidates, expected %d", len(g), len(want))
	}
}

// TestFilter: the outermost displacements of a block pass, wherever the keys are.
func TestFilter(t *testing.T) {
	const from, to = 0x40_1001, 0x40_1001 + scanBlock
	narrow := 0
	for lo := uint64(from + 0xFF_0000); lo < from+0x101_0000; lo++ {
		for _, span := range []uint64{0, 9} {
			ix := index{lo: lo, span: span}
			f, ok := ix.filter(from, to)
			if f.mask3 == 0xFF*ones {
				narrow++
			}
			low, high := uint32(lo-immLenMax-(to-1)-5), uint32(lo+span-from-5)
			for _, disp := range []uint32{low, high} {
				if !ok || uint64(disp>>24)*ones&f.mask3 != f.want3 || uint64(disp>>16&0xFF)*ones&f.mask2 != f.want2 {
					t.Fatalf("key at %#x+%d: %#x does not pass %+v, %v", lo, span, disp, f, ok)
				}
			}
		}
	}
	if narrow < 100_000 {
		t.Errorf("%d narrow filters", narrow)
	}
}
