package amd64

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// objdumpPath finds objdump. Without it the test is skipped, except where the
// project promises that it runs: in CI on linux/amd64.
func objdumpPath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("objdump")
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		t.Fatal("objdump not found: install binutils, CI must run this test")
	}
	t.Skip("objdump not found: install binutils to run this test")
	return ""
}

// objdumpLine is one line of a disassembly.
type objdumpLine struct {
	addr uint64
	code []byte
	text string
}

// known reports whether objdump understood the bytes.
func (l objdumpLine) known() bool { return l.text != "" && !strings.Contains(l.text, "(bad)") }

// runObjdump disassembles a file and calls line for each instruction and, when
// it is not nil, symbol for each symbol.
func runObjdump(t testing.TB, args []string, symbol func(addr uint64), line func(objdumpLine)) {
	t.Helper()
	cmd := exec.Command(objdumpPath(t), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := scanObjdump(out, symbol, line); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("objdump %v: %v\n%s", args, err, stderr.Bytes())
	}
}

func scanObjdump(r io.Reader, symbol func(addr uint64), line func(objdumpLine)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		s := sc.Text()
		if symbol != nil && strings.HasSuffix(s, ">:") {
			addr, err := strconv.ParseUint(s[:strings.IndexByte(s, ' ')], 16, 64)
			if err != nil {
				return fmt.Errorf("objdump symbol %q: %v", s, err)
			}
			symbol(addr)
			continue
		}
		field := strings.SplitN(s, "\t", 3)
		if len(field) < 2 {
			continue
		}
		l, err := parseObjdumpLine(field)
		if err != nil {
			return fmt.Errorf("objdump line %q: %v", s, err)
		}
		line(l)
	}
	return sc.Err()
}

func parseObjdumpLine(field []string) (l objdumpLine, err error) {
	l.addr, err = strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(field[0]), ":"), 16, 64)
	if err != nil {
		return l, err
	}
	if l.code, err = parseHex(field[1]); err != nil {
		return l, err
	}
	if len(field) == 3 {
		l.text = strings.TrimSpace(field[2])
	}
	return l, nil
}

// slotSize holds two instructions of any length. A slot is filled up with
// one-byte NOPs, so that objdump is in step again at the next one even when it
// gives up on the first bytes and makes something else of the rest.
const slotSize = 32

// objdumpSlots disassembles each piece of code by itself and calls got with
// the piece and the first line.
func objdumpSlots(t testing.TB, slots [][]byte, got func(code []byte, l objdumpLine)) {
	t.Helper()
	data := bytes.Repeat([]byte{0x90}, len(slots)*slotSize)
	for i, code := range slots {
		if copy(data[i*slotSize:(i+1)*slotSize], code) < len(code) {
			t.Fatalf("slot too small for % x", code)
		}
	}
	file := filepath.Join(t.TempDir(), "slots.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	args := []string{"-D", "-w", "-b", "binary", "-m", "i386:x86-64", file}
	runObjdump(t, args, nil, func(l objdumpLine) {
		if l.addr%slotSize == 0 {
			got(data[l.addr:l.addr+slotSize], l)
			n++
		}
	})
	if n != len(slots) {
		t.Fatalf("objdump gave %d of %d slots", n, len(slots))
	}
}
