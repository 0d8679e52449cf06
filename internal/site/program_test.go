//go:build linux && amd64

package site_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/internal/gobin"
	"github.com/quietpatch/quietpatch/internal/self"
	"github.com/quietpatch/quietpatch/internal/site"
)

// variables returns what the text refers to in the data: far more than keys. Their widths are
// made up.
func variables(img site.Image, inData func(addr uint64) bool) (keys []site.Key) {
	seen := map[uint64]bool{}
	for _, seg := range img.Text() {
		for i := 0; i+5 <= len(seg.Bytes); i++ {
			if seg.Bytes[i]&0xC7 != 0x05 {
				continue
			}
			disp := uint64(int64(int32(binary.LittleEndian.Uint32(seg.Bytes[i+1:]))))
			for _, imm := range []uint64{0, 1, 4} {
				if a := seg.Addr + uint64(i) + 5 + disp + imm; inData(a) && !seen[a] {
					seen[a] = true
					keys = append(keys, site.Key{Addr: a, Width: []int{1, 4, 8}[(a>>1^a>>4)%3]})
				}
			}
		}
	}
	return keys
}

// compare looks for all keys at once, and for some of them alone.
func compare(t *testing.T, img site.Image, keys []site.Key, least int) []site.Site {
	t.Helper()
	found, patchable := site.Find(img, keys), 0
	for i := range found {
		if found[i].Patchable() {
			patchable++
		}
	}
	t.Logf("%d keys, %d sites, %d of them patchable", len(keys), len(found), patchable)
	if patchable < least {
		t.Errorf("%d patchable sites in a real program, expected %d", patchable, least)
	}
	same(t, found, site.FindNaive(img, keys))
	for i := 0; i < len(keys); i += len(keys)/5 + 1 {
		some := keys[i:min(i+1+i%20, len(keys))]
		same(t, site.Find(img, some), site.FindNaive(img, some))
	}
	return found
}

func same(t *testing.T, got, want []site.Site) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d sites, expected %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("site %d of %d:\n%+v, expected\n%+v", i, len(want), got[i], want[i])
		}
	}
}

// TestFindInPrograms compares Find with the naive way in real programs, the go command (if it
// is there) and this test, and what is found in this test's file with what is found in its memory.
func TestFindInPrograms(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keys, inFile := compareFile(t, exe, 1, 100)
	if tool, err := exec.LookPath("go"); err == nil && !testing.Short() {
		if tool, err = filepath.EvalSymlinks(tool); err == nil {
			compareFile(t, tool, 25, 20) // that is enough, and takes less time
		}
	}
	img, err := self.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := img.Read(); err != nil {
		t.Fatal(err)
	}
	defer img.Release()
	compare(t, img, variables(img, func(a uint64) bool { return img.InData(uintptr(a)) }), 100)
	if lo, _ := img.Range(); len(inFile) > 0 && inFile[0].Entry >= uint64(lo) { // else it was moved
		sameButNames(t, site.Find(img, keys), inFile)
	}
}

// sameButNames leaves out the names of functions, since the runtime shortens those of generic
// ones and has none for the first of the text (runtime/symtab.go, funcNameForPrint and
// moduledata.funcName), and code of C, which only a file tells apart.
func sameButNames(t *testing.T, inMemory, inFile []site.Site) {
	t.Helper()
	inGo := map[uint64]bool{}
	for i := range inFile {
		inGo[inFile[i].Entry] = true
	}
	inMemory = slices.DeleteFunc(inMemory, func(s site.Site) bool { return !inGo[s.Entry] })
	for i := range min(len(inMemory), len(inFile)) {
		if inMemory[i].Func == "" {
			inMemory[i].Why = inFile[i].Why
		}
		inMemory[i].Func = inFile[i].Func
	}
	same(t, inMemory, inFile)
}

// compareFile takes every nth of the keys.
func compareFile(t *testing.T, name string, nth, least int) ([]site.Key, []site.Site) {
	t.Helper()
	f, err := gobin.Open(name)
	if err != nil {
		t.Logf("%s: %v", name, err) // a wrapper, or another system's
		return nil, nil
	}
	defer f.Close()
	data := f.Data()
	keys := variables(f, func(a uint64) bool {
		return slices.ContainsFunc(data, func(r site.Range) bool { return r.Contains(a) })
	})
	for i := range len(keys) / nth {
		keys[i] = keys[i*nth]
	}
	keys = keys[:len(keys)/nth]
	return keys, compare(t, f, keys, least)
}
