package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
)

// dynText is the text of the executable's file.
type dynText struct {
	code []byte
	at   uint64 // where it lies in this process
}

const (
	auxEntry = 9 // AT_ENTRY, getauxval(3)
	callLen  = 5
)

func readText() (*dynText, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".text")
	if s == nil {
		return nil, fmt.Errorf("the program has no .text")
	}
	code, err := s.Data()
	if err != nil {
		return nil, err
	}
	aux, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return nil, err
	}
	for ; len(aux) >= 16; aux = aux[16:] {
		if binary.LittleEndian.Uint64(aux) == auxEntry {
			base := binary.LittleEndian.Uint64(aux[8:]) - f.Entry // 0 unless it is a PIE
			return &dynText{code, s.Addr + base}, nil
		}
	}
	return nil, fmt.Errorf("no AT_ENTRY in the auxiliary vector")
}

// textAt returns n bytes of the process.
func textAt(addr uint64, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), uintptr(addr))), n)
}

// callsDiffer compares the calls with the file, "" if they are the same.
func (x *dynText) callsDiffer(calls []dyncall.Site) string {
	var bad []string
	for _, c := range calls {
		file := x.code[c.Addr-x.at:][:callLen]
		if live := textAt(c.Addr, callLen); !bytes.Equal(live, file) {
			bad = append(bad, fmt.Sprintf("%s at %#x (%s, targets %v): expected % x, found % x", c.Func, c.Addr, c.State, c.Targets, file, live))
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d calls differ, the first: %s", len(bad), len(calls), bad[0])
}

// differs compares all of the text with the file, "" if they are the same.
func (x *dynText) differs() string {
	live := textAt(x.at, len(x.code))
	n, first := 0, 0
	for i := range live {
		if live[i] != x.code[i] {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes differ, the first at %#x: expected %#x, found %#x", n, x.at+uint64(first), x.code[first], live[first])
}

// stubUse is what stubs take.
type stubUse struct {
	Stubs     int `json:"stubs"`
	InUse     int `json:"in_use"` // bytes
	Committed int `json:"committed"`
}

func stubsInUse() stubUse {
	s := quietpatch.Status().Stubs
	return stubUse{s.Stubs, s.InUseBytes, s.CommittedBytes}
}

// max is the larger of both, by each number.
func (u stubUse) max(v stubUse) stubUse {
	return stubUse{max(u.Stubs, v.Stubs), max(u.InUse, v.InUse), max(u.Committed, v.Committed)}
}

const trapByte = 0xCC
